"""Batching, likelihood scores, loading one model at a time, and keeping torch out of the web process."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_runtime import loading
from models_runtime.batching import in_batches, token_batches
from models_runtime.likelihood import implicit_reward, mean_loglikelihood
from models_runtime.types import BackendError, Host, LogLikelihood, ModelSpec


@given(st.lists(st.integers(1, 50)), st.integers(1, 120), st.integers(1, 8))
def test_batches_hold_every_item_once_and_keep_the_budget(lengths, budget, most):
    batches = token_batches(lengths, budget=budget, most=most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= most
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= budget


def test_a_batch_too_big_for_memory_is_halved_until_it_fits():
    sizes = []

    def run(batch):
        if len(batch) > 2:
            raise MemoryError
        sizes.append(len(batch))
        return [item * 10 for item in batch]

    assert in_batches(range(7), [1] * 7, run, budget=100, too_big=(MemoryError,)) == [0, 10, 20, 30, 40, 50, 60]
    assert max(sizes) == 2


def test_an_item_that_does_not_fit_even_alone_is_an_error():
    def run(batch):
        raise MemoryError

    with pytest.raises(MemoryError):
        in_batches([1, 2], [1, 1], run, budget=100, too_big=(MemoryError,))


def test_a_model_that_loses_a_row_is_an_error_and_not_a_shift():
    with pytest.raises(ValueError, match="shorter"):
        in_batches([1, 2, 3], [1, 1, 1], lambda batch: batch[:-1], budget=100)


def test_likelihood_scores_follow_their_formulas():
    chosen = LogLikelihood(-4.0, 4)
    assert mean_loglikelihood(chosen) == -1.0
    assert mean_loglikelihood(None) is mean_loglikelihood(LogLikelihood(0.0, 0)) is None
    assert implicit_reward(LogLikelihood(-4.0, 4), LogLikelihood(-5.5, 4), beta=0.1) == pytest.approx(0.15)
    assert implicit_reward(None, chosen) is None


def test_models_with_other_tokens_cannot_be_compared():
    with pytest.raises(ValueError, match="different tokens"):
        implicit_reward(LogLikelihood(-4.0, 4), LogLikelihood(-4.0, 5))


def test_a_process_holds_one_model_and_closes_it_before_the_next():
    first = loading.resident(ModelSpec("scripted", "one"))
    assert loading.resident(ModelSpec("scripted", "one")) is first
    closed = []
    first.close = lambda: closed.append(loading._resident[2] is first)
    second = loading.resident(ModelSpec("scripted", "two"))
    assert closed == [True]
    assert second is not first
    assert loading.resident(ModelSpec("scripted", "two"), host=Host(api_key="new")) is not second
    loading.evict()
    assert loading.resident(ModelSpec("scripted", "two")) is not second
    loading.evict()


def test_a_model_that_cannot_be_loaded_leaves_nothing_resident():
    with pytest.raises(BackendError, match="no back-end 'nope'"):
        loading.resident(ModelSpec("nope"))
    assert loading.resident(ModelSpec("scripted")).spec.backend == "scripted"
    loading.evict()


def test_an_operators_secret_is_in_no_key_and_in_no_printout():
    assert "hunter2" not in repr(Host(api_key="hunter2", hf_token="hunter2"))
    assert ModelSpec("openai", "m").key == ModelSpec("openai", "m").key != ModelSpec("openai", "m", revision="2").key


def test_planning_and_reading_import_no_torch():
    modules = "models_runtime.registry, models_runtime.judging, models_runtime.parsers, models_runtime.loading"
    code = (
        f"import sys, {modules}, models_runtime.backends.openai, models_runtime.training.bradley_terry;"
        "models_runtime.registry.capabilities_of('hf_reward');"
        "print(sorted({'torch', 'transformers', 'django', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
