"""Signals: one figure per pair in the order of the pairs, None where there is none, and mirrored when a pair is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.quality import SIGNALS
from curation.types import PairView, RewardPair, Twins, Vote, mirrored
from tests.curation.views import view, views, vote

SIGNED = {"length_difference", "reward_margin"}  # grow towards B, so that a mirrored pair has the negative


def measured(name: str, *pairs: PairView, **options) -> list[float | None]:
    return SIGNALS[name].measure(pairs, **options)


def test_length_difference_is_characters_of_b_minus_a():
    assert measured("length_difference", view(chars_a=3, chars_b=10), view(chars_a=10, chars_b=3)) == [7.0, -7.0]


def test_identical_responses_are_told_from_different_ones():
    assert measured("identical_responses", view(response_a=5, response_b=5), view()) == [1.0, 0.0]


def test_only_the_later_of_two_equal_pairs_is_a_duplicate():
    twins = Twins(first_pair=3, n_pairs=2)
    assert measured("exact_duplicate", view(id=3, twins=twins), view(id=8, twins=twins), view(id=9)) == [0.0, 1.0, None]


def test_equal_pairs_with_opposite_labels_conflict_whatever_side_the_winner_is_on():
    twins = Twins(first_pair=3, n_pairs=2, winners=frozenset({1, 2}))
    same = Twins(first_pair=3, n_pairs=2, winners=frozenset({1}))
    labelled = view(response_a=1, response_b=2, stored_strength=-1, twins=twins)
    assert measured("label_conflict", labelled) == [1.0]
    agreeing = view(response_a=2, response_b=1, stored_strength=2, twins=same)  # B wins here, and B is the same text as A there
    assert measured("label_conflict", agreeing) == [0.0]
    assert measured("label_conflict", view(twins=twins), view(stored_strength=0, twins=twins)) == [None, None]


def test_reward_margin_is_that_of_the_named_judge_and_else_of_the_newest():
    rewards = {4: RewardPair(4, "old", 1.0, 3.0), 7: RewardPair(7, "new", 2.0, 1.5), 9: RewardPair(9, "half", 1.0, None)}
    assert measured("reward_margin", view(rewards=rewards)) == [-0.5]
    assert measured("reward_margin", view(rewards=rewards), judge_id=4) == [2.0]
    assert measured("reward_margin", view(rewards=rewards), judge_id=9) == [None]
    assert measured("reward_margin", view()) == [None]


def test_an_option_that_a_signal_does_not_have_is_refused_by_name():
    with pytest.raises(TypeError, match="judge_id"):
        SIGNALS["length_difference"].measure([view()], judge_id=3)


def test_judge_agreement_is_the_share_of_the_commonest_verdict():
    votes = (vote(1, "a"), vote(2, "a"), vote(3, "b"), vote(4, None, tie_kind="unreadable"), vote(5, "b", is_gold=True))
    assert measured("judge_agreement", view(votes=votes)) == [pytest.approx(2 / 3)]
    assert measured("judge_agreement", view(votes=(vote(1, "a"),))) == [None]


def test_a_judge_whose_answers_contradict_each_other_counts_half_for_each_side():
    votes = (vote(1, "a", order="ab"), vote(1, "b", order="ba"), vote(2, "a"))
    assert measured("judge_agreement", view(votes=votes)) == [0.75]


def test_an_older_version_of_a_model_does_not_vote_beside_the_newer():
    votes = (vote(1, "a", name="head"), vote(2, "b", name="head"), vote(3, "b", name="other"))
    assert measured("judge_agreement", view(votes=votes)) == [1.0]


def test_order_consistency_counts_judges_readable_in_both_orders():
    votes = (
        vote(1, "a", order="ab"), vote(1, "a", order="ba"),
        vote(2, "a", order="ab"), vote(2, "b", order="ba"),
        vote(3, "a", order="ab"), vote(3, None, order="ba", tie_kind="unreadable"),
        vote(4, "a"),
    )  # fmt: skip
    assert measured("order_consistency", view(votes=votes)) == [0.5]
    assert measured("order_consistency", view(votes=votes[4:])) == [None]


@given(st.lists(views(), max_size=5))
def test_every_signal_gives_one_value_per_pair_and_mirrors_with_it(pairs):
    for name, signal in SIGNALS.items():
        values, swapped = signal.measure(pairs), signal.measure([pair.swapped() for pair in pairs])
        assert len(values) == len(pairs)
        sign = -1 if name in SIGNED else 1
        expected = [None if value is None else sign * value for value in values]
        assert swapped == [None if value is None else pytest.approx(value) for value in expected]
        assert [signal.measure([pair])[0] for pair in pairs] == values


@given(views())
def test_swapping_twice_gives_the_same_pair_back(pair):
    assert pair.swapped().swapped() == pair
    assert mirrored(mirrored(pair.stored_verdict)) == pair.stored_verdict


def test_a_swapped_vote_names_the_other_response_and_order():
    swapped = Vote(1, "j", "llm_judge", "a", -2, order="ab", probability=0.25).swapped()
    assert (swapped.verdict, swapped.strength, swapped.order, swapped.probability) == ("b", 2, "ba", 0.75)
