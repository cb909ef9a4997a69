"""Recipes are data: they survive JSON, refuse what does not exist, and say what they will do."""

import json

import pytest

from curation import recipes
from curation.recipes import BadRecipe, Decide, LlmJudge, Recipe, Review, Signals
from models_runtime.types import ModelSpec


@pytest.mark.parametrize("name", recipes.BUILDERS)
def test_a_recipe_survives_json(name):
    made = recipes.build(name, {"judges": "one,two", "reward_models": "org/model", "overlap": "2"})
    assert recipes.from_json(json.loads(json.dumps(recipes.to_json(made)))) == made


def test_parameters_may_be_text_as_a_command_line_gives_them():
    params = recipes.read_params({"seed_share": "0.02", "overlap": "3", "judges": "gpt-large, gpt-small,"})
    assert (params.seed_share, params.overlap, params.judges) == (0.02, 3, ("gpt-large", "gpt-small"))


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"seedshare": "0.1"}, "seedshare"),
        ({"overlap": "many"}, "overlap"),
        ({"overlap": "0"}, "overlap"),
        ({"review_share": "1.5"}, "review_share"),
        ({"keep_from": "0.4"}, "keep_from"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(params, named):
    with pytest.raises(BadRecipe, match=named):
        recipes.build("verify_and_scale", params)


def test_an_unknown_recipe_step_or_step_parameter_is_refused_with_the_known_ones():
    with pytest.raises(BadRecipe, match="verify_and_scale"):
        recipes.build("nope")
    with pytest.raises(BadRecipe, match="train_head"):
        recipes.step_from("nope", {})
    with pytest.raises(BadRecipe, match="chunk_size"):
        recipes.step_from("signals", {"chunks": 3})


def test_every_named_judge_is_asked_and_both_reviews_have_their_shares():
    made = recipes.build("verify_and_scale", {"judges": "one,two", "seed_share": 0.02, "review_share": 0.07})
    assert [step.model.checkpoint for step in made.steps if isinstance(step, LlmJudge)] == ["one", "two"]
    reviews = [(step.policy, step.share) for step in made.steps if isinstance(step, Review)]
    assert reviews == [("random", 0.02), ("disagreement", 0.07)]


def test_verify_and_scale_decides_last_and_after_people():
    kinds = [step.step for step in recipes.RECIPES["verify_and_scale"].steps]
    assert kinds[-1] == "decide"
    assert kinds.index("review") < kinds.index("train_head") < kinds.index("reward") < kinds.index("consensus")


def test_triage_asks_nobody_before_it_has_decided_once():
    kinds = [step.step for step in recipes.RECIPES["triage"].steps]
    assert kinds.index("decide") < kinds.index("review")


def test_stored_parameters_name_their_defaults():
    stored = recipes.step_params(Signals())
    assert recipes.step_from("signals", stored) == Signals()
    assert set(stored) == {"names", "chunk_size"}


def test_a_recipe_can_be_written_by_hand():
    model = ModelSpec("scripted", params={"seconds": 0})
    made = Recipe("mine", (Signals(names=("length_difference",)), LlmJudge(model, samples=3), Decide({"keep_from": 0.9})))
    assert recipes.from_json(json.loads(json.dumps(recipes.to_json(made)))) == made
