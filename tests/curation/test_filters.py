"""The rules: which one speaks for which pair, and that no pair is treated by its sides."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.filters import REASONS, FilterSettings, decide, settings_from, side_of_people
from curation.types import Twins, verdict_of
from tests.curation.views import consensus, view, views, vote

MODEL = (vote(50, "a"),)


def person(judge: int, verdict: str | None, *, of_app: bool = True, **fields):
    return vote(judge, verdict, kind="human", of_app=of_app, **fields)


def ruled(pair, **settings) -> tuple[str, str, float | None]:
    ruling = decide(pair, FilterSettings(**settings))
    return ruling.action, ruling.reason, ruling.strength


CASES = {
    "nothing to prefer": (view(response_b=1, votes=(person(1, "a"),)), ("drop", "identical_responses", None)),
    "an earlier pair is the same": (view(id=5, twins=Twins(2, 2), votes=(person(1, "a"),)), ("drop", "exact_duplicate", None)),
    "people agree": (view(stored_strength=-1, votes=(person(1, "a", strength=-3),)), ("keep", "people_confirm", -3.0)),
    "people agree on a tie": (view(stored_strength=0, votes=(person(1, "tie"),)), ("keep", "people_confirm", 0.0)),
    "people disagree": (
        view(stored_strength=-1, votes=(person(1, "b"), person(2, "b", strength=2))),
        ("flip", "people_reverse", 1.5),
    ),
    "people give the first label": (view(votes=(person(1, "a"),)), ("relabel", "people_label", -1.0)),
    "people break a tie": (view(stored_strength=0, votes=(person(1, "b"),)), ("relabel", "people_label", 1.0)),
    "people make a tie": (view(stored_strength=2, votes=(person(1, "tie"),)), ("relabel", "people_tie", 0.0)),
    "both are bad": (
        view(stored_strength=2, votes=(person(1, "tie", tie_kind="both_bad"),)),
        ("drop", "people_both_bad", None),
    ),
    "nobody can tell": (
        view(stored_strength=2, votes=(person(1, None, tie_kind="cannot_judge"), *MODEL), consensus=consensus(b=1)),
        ("drop", "people_cannot_judge", None),
    ),
    "people are split": (
        view(stored_strength=-1, votes=(person(1, "a"), person(2, "b"), *MODEL), consensus=consensus(a=1)),
        ("to_human", "people_split", None),
    ),
    "opposite labels": (
        view(stored_strength=-1, twins=Twins(1, 2, frozenset({1, 2})), votes=MODEL, consensus=consensus(a=1)),
        ("to_human", "conflicting_duplicate", None),
    ),
    "people settle opposite labels": (
        view(stored_strength=-1, twins=Twins(1, 2, frozenset({1, 2})), votes=(person(1, "b"),)),
        ("flip", "people_reverse", 1.0),
    ),
    "models agree": (
        view(stored_strength=-1, votes=MODEL, consensus=consensus(a=0.7, b=0.3, strength=-1.5)),
        ("keep", "models_confirm", -1.5),
    ),
    "models are sure of the other": (
        view(stored_strength=-1, votes=MODEL, consensus=consensus(a=0.1, b=0.9, strength=2)),
        ("flip", "models_reverse", 2),
    ),
    "models are not sure enough": (
        view(stored_strength=-1, votes=MODEL, consensus=consensus(a=0.3, b=0.7, strength=2)),
        ("to_human", "unresolved", None),
    ),
    "models give the first label": (view(votes=MODEL, consensus=consensus(a=0.9, b=0.1)), ("relabel", "models_label", -1.0)),
    "models make a tie": (view(stored_strength=1, votes=MODEL, consensus=consensus(tie=0.9)), ("relabel", "models_tie", 0.0)),
    "nobody but the stored label voted": (
        view(stored_strength=-1, votes=(vote(1, "a", kind="imported"),), consensus=consensus(a=1)),
        ("to_human", "unresolved", None),
    ),
    "nobody said anything": (view(stored_strength=-1), ("to_human", "unresolved", None)),
}


@pytest.mark.parametrize(("pair", "expected"), CASES.values(), ids=CASES.keys())
def test_rule_that_speaks(pair, expected):
    assert ruled(pair) == expected


def test_every_reason_has_a_case_that_shows_it():
    assert {expected[1] for _, expected in CASES.values()} == set(REASONS)


def test_open_cases_can_be_dropped_instead():
    for name in ("people are split", "opposite labels", "models are not sure enough"):
        assert ruled(CASES[name][0], open_cases="drop")[0] == "drop"


def test_people_of_this_app_outweigh_imported_annotators():
    annotators = tuple(person(judge, "a", of_app=False) for judge in range(2, 7))
    assert ruled(view(stored_strength=-1, votes=annotators)) == ("keep", "people_confirm", -1.0)
    assert ruled(view(stored_strength=-1, votes=(*annotators, person(1, "b")))) == ("flip", "people_reverse", 1.0)


def test_the_last_answer_of_a_person_counts():
    votes = (person(1, "a", occasion=0), person(1, "b", occasion=1))
    assert ruled(view(stored_strength=-1, votes=votes))[1] == "people_reverse"


def test_models_need_as_many_different_ones_as_the_settings_say():
    two_versions = (vote(1, "b", name="head"), vote(2, "b", name="head"))
    pair = view(stored_strength=-1, votes=two_versions, consensus=consensus(b=1))
    assert ruled(pair, min_model_judges=2)[1] == "unresolved"
    assert (
        ruled(view(stored_strength=-1, votes=(*two_versions, vote(3, "b")), consensus=consensus(b=1)), min_model_judges=2)[0]
        == "flip"
    )


def test_a_gold_label_is_never_looked_at():
    pair = view(stored_strength=-1, votes=(vote(1, "b", kind="imported", is_gold=True),))
    assert ruled(pair)[1] == "unresolved"


def test_ruling_keeps_the_figures_it_looked_at():
    ruling = decide(CASES["models agree"][0])
    assert ruling.detail["consensus"] == {"a": 0.7, "tie": 0.0, "b": 0.3}
    assert ruling.detail["settings"]["keep_from"] == 0.6
    assert decide(CASES["people disagree"][0]).detail["people"] == {"b": 2}


@pytest.mark.parametrize("params", [{"keep_from": 0.5}, {"flip_from": 1.1}, {"open_cases": "burn"}, {"keepfrom": 0.7}])
def test_settings_that_make_no_sense_are_refused(params):
    with pytest.raises(ValueError, match=next(iter(params))):
        settings_from(params)


@given(views(), st.sampled_from([FilterSettings(), FilterSettings(keep_from=0.9, min_model_judges=2, open_cases="drop")]))
def test_swapping_the_responses_swaps_the_sign_of_the_label_and_nothing_else(pair, settings):
    one, other = decide(pair, settings), decide(pair.swapped(), settings)
    assert (one.action, one.reason, one.by) == (other.action, other.reason, other.by)
    assert other.strength == (None if one.strength is None else pytest.approx(-one.strength))


@given(views())
def test_a_ruling_is_consistent_with_its_action(pair):
    ruling = decide(pair)
    assert ruling.reason in REASONS
    assert (ruling.strength is None) == (ruling.action in ("drop", "to_human"))
    if ruling.action == "keep":
        assert verdict_of(ruling.strength) == pair.stored_verdict
    if ruling.action == "flip":
        assert {verdict_of(ruling.strength), pair.stored_verdict} == {"a", "b"}


@pytest.mark.parametrize(("said", "side"), [("aab", "a"), (["b", "b", "a", "tie"], "b"), ("ab", None), ("", None)])
def test_training_takes_the_side_that_decides_a_pair(said, side):
    asked = view(votes=tuple(person(number, each) for number, each in enumerate(said)))
    assert side_of_people(asked) == side
    assert (decide(asked).reason == "people_label") == (side is not None)
