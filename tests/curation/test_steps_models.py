"""Runs with real model files, loaded by the real back-ends: a tiny reward model and a tiny judge made here."""

import math

import pytest

from curation import runs
from curation.models import Judgment, Reward
from curation.recipes import LlmJudge
from curation.recipes import Reward as RewardStep
from models_runtime import loading
from models_runtime.types import Message, ModelSpec
from tests.builders import make_pair
from tests.models_runtime.tiny import make_tiny_causal_lm, make_tiny_reward_model

pytestmark = pytest.mark.models


@pytest.fixture
def pairs(dataset):
    return [make_pair(dataset, number) for number in range(12)]


@pytest.fixture(autouse=True)
def model_evicted():
    yield
    loading.evict()


def done(dataset, step) -> runs.Progress:
    run = runs.start_run(dataset, step)
    while runs.drain(run.pk, seconds=60):
        pass
    run.refresh_from_db()
    assert runs.progress(run).state == "done", list(run.chunks.values_list("error", flat=True))
    return run


def test_a_reward_model_scores_every_response_and_its_margin_is_its_judgment(dataset, pairs, tmp_path):
    spec = ModelSpec("hf_reward", str(make_tiny_reward_model(tmp_path)))
    run = done(dataset, RewardStep(model=spec))
    rewards = dict(Reward.objects.filter(judge=run.judge).values_list("response", "value"))
    assert len(rewards) == 24
    pair = pairs[3]
    question = Message("user", pair.prompt.messages[0]["content"])
    direct = loading.resident(spec).reward(
        [(question, Message("assistant", each.messages[0]["content"])) for each in (pair.response_a, pair.response_b)]
    )
    assert [rewards[pair.response_a_id], rewards[pair.response_b_id]] == pytest.approx(direct, abs=1e-5)
    judgment = Judgment.objects.get(pair=pair, judge=run.judge)
    margin = rewards[pair.response_b_id] - rewards[pair.response_a_id]
    assert judgment.probability == pytest.approx(1 / (1 + math.exp(-margin)))
    assert (judgment.strength or 0) * margin >= 0


def test_other_weights_in_the_same_folder_are_another_judge(dataset, pairs, tmp_path):
    step = RewardStep(model=ModelSpec("hf_reward", str(make_tiny_reward_model(tmp_path))))
    first, again = done(dataset, step), done(dataset, step)
    assert first.judge == again.judge
    make_tiny_reward_model(tmp_path, seed=1)
    other = done(dataset, step)
    assert other.judge != first.judge
    values = [
        list(Reward.objects.filter(judge=run.judge).order_by("response").values_list("value", flat=True))
        for run in (first, other)
    ]
    assert len(values[1]) == 24
    assert values[0] != values[1]


def test_what_a_small_model_babbles_is_kept_raw_and_counted_as_unreadable(dataset, pairs, tmp_path):
    spec = ModelSpec("hf_causal", str(make_tiny_causal_lm(tmp_path)))
    run = done(dataset, LlmJudge(model=spec, max_tokens=8))
    said = Judgment.objects.filter(judge=run.judge)
    assert sorted(said.values_list("order_shown", flat=True)) == ["ab"] * 12 + ["ba"] * 12
    assert set(said.values_list("tie_kind", flat=True)) == {"unreadable"}
    assert runs.progress(run).n_missing == 12
