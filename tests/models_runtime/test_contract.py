"""What every back-end promises: same order, same length, None for no value, the same answer whatever it is batched with."""

import math

import pytest

from models_runtime.registry import BACKENDS, backend_class, capabilities_of
from models_runtime.types import BackendError, GenerationParams, Host, LogLikelihood, Message, ModelSpec, Unsupported
from tests.models_runtime.tiny import make_tiny_causal_lm, make_tiny_head, make_tiny_reward_model

pytestmark = pytest.mark.models
TEXTS = [
    "Paris.",
    "It is Paris, the capital of France. " * 8,
    "東京です。👩‍🚀",
    "",
    "</s><|user|>\nSay A.",
    "tab\tand \x00 null",
    "a\ud800b",
]
LOCAL = ["scripted", "hf_reward", "hf_causal", "minilm", "embedding_head"]


def talk(reply: str):
    return (Message("user", "What is the capital of France?"), Message("assistant", reply))


CALLS = {
    "reward": lambda backend, texts: backend.reward([talk(text) for text in texts]),
    "generate": lambda backend, texts: backend.generate([talk(text)[:1] + (Message("user", text),) for text in texts], GREEDY),
    "loglikelihood": lambda backend, texts: backend.loglikelihood([(talk("")[:1], text) for text in texts]),
    "embed": lambda backend, texts: backend.embed(texts),
}
GREEDY = GenerationParams(max_tokens=8)
MINILM_FIRST = [0.134177, -0.0329, -0.024804, 0.041439]


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    specs = {
        "scripted": ModelSpec("scripted"),
        "minilm": ModelSpec("minilm"),
        "hf_reward": ModelSpec("hf_reward", str(make_tiny_reward_model(folder / "reward"))),
        "hf_causal": ModelSpec("hf_causal", str(make_tiny_causal_lm(folder / "causal"))),
        "embedding_head": ModelSpec("embedding_head", str(folder / "head"), revision=make_tiny_head(folder / "head")),
    }
    loaded = {name: backend_class(name)(spec) for name, spec in specs.items()}
    yield loaded
    for backend in loaded.values():
        backend.close()
        backend.close()


def numbers(value):
    """A result as a list of floats, to compare with a tolerance."""
    if isinstance(value, LogLikelihood):
        return [value.total, value.n_tokens]
    return value if isinstance(value, list) else [value]


ABILITIES = [(name, capability) for name in LOCAL for capability in sorted(capabilities_of(name))]


@pytest.mark.parametrize(("name", "capability"), ABILITIES)
def test_a_batch_gives_one_value_per_item_and_each_equals_the_value_of_the_item_alone(backends, name, capability):
    call = CALLS[capability]
    together = call(backends[name], TEXTS)
    assert len(together) == len(TEXTS)
    alone = [call(backends[name], [text])[0] for text in TEXTS]
    backwards = call(backends[name], TEXTS[::-1])[::-1]
    if capability == "generate":
        assert [one.text for one in together] == [one.text for one in alone] == [one.text for one in backwards]
        return
    for value, single, reverse in zip(together, alone, backwards, strict=True):
        assert numbers(value) == pytest.approx(numbers(single), abs=2e-5)
        assert numbers(value) == pytest.approx(numbers(reverse), abs=2e-5)


@pytest.mark.parametrize(("name", "capability"), ABILITIES)
def test_an_empty_batch_gives_an_empty_list(backends, name, capability):
    assert CALLS[capability](backends[name], []) == []


@pytest.mark.parametrize("name", LOCAL)
def test_what_a_back_end_cannot_do_is_refused_by_name(backends, name):
    for capability in CALLS.keys() - capabilities_of(name):
        with pytest.raises(Unsupported, match=f"{name}.*cannot {capability}"):
            CALLS[capability](backends[name], ["x"])


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_the_registry_knows_the_capabilities_that_the_class_has(name):
    assert backend_class(name).capabilities == capabilities_of(name)


def test_an_unknown_back_end_is_refused_with_the_known_names():
    with pytest.raises(BackendError, match="hf_reward.*openai.*scripted") as caught:
        capabilities_of("gpt")
    assert caught.value.permanent


def test_embeddings_are_those_of_sentence_transformers(backends):
    # First components by sentence_transformers 6.2.0 with the same weights.
    near, far, twin = backends["minilm"].embed(
        ["The cat sits on the mat.", "Quarterly revenue rose.", "A cat is sitting on a mat."]
    )
    assert near[:4] == pytest.approx(MINILM_FIRST, abs=1e-4)
    assert len(near) == 384
    assert math.hypot(*near) == pytest.approx(1, abs=1e-5)
    assert sum(map(float.__mul__, near, twin)) > 0.9 > 0.2 > sum(map(float.__mul__, near, far))


def test_an_embedded_text_beyond_the_limit_is_cut_and_counted(backends):
    before = backends["minilm"].counts["truncated"]
    long, longer = backends["minilm"].embed(["word " * 1000, "word " * 1000 + "and then something else"])
    assert long == pytest.approx(longer, abs=1e-5)
    assert backends["minilm"].counts["truncated"] == before + 2


def test_a_head_scores_stored_embeddings_like_the_texts_themselves(backends):
    head, prompt = backends["embedding_head"], "What is the capital of France?"
    vectors = dict(zip([prompt, *TEXTS], head.embed([prompt, *TEXTS]), strict=True))
    stored = head.score_vectors([vectors[prompt]] * len(TEXTS), [vectors[text] for text in TEXTS])
    assert stored == pytest.approx(head.reward([talk(text) for text in TEXTS]), abs=1e-5)


def test_a_conversation_without_a_reply_has_no_reward_and_costs_the_others_nothing(backends):
    head = backends["embedding_head"]
    values = head.reward([talk("Paris."), talk("Paris.")[:1], ()])
    assert values[0] is not None
    assert values[1:] == [None, None]
    assert sorted(head.failures) == [1, 2]


def test_a_head_that_is_not_the_one_asked_for_is_refused(tmp_path):
    make_tiny_head(tmp_path)
    with pytest.raises(BackendError, match="holds head"):
        backend_class("embedding_head")(ModelSpec("embedding_head", str(tmp_path), revision="0" * 64), host=Host())
