"""Pairs with everything known about them, in a number of queries that does not grow."""

import pytest

from curation import judgments, people
from curation.models import Consensus, JudgeKind, Reward
from curation.pair_views import load_views
from curation.types import STORED_LABEL
from tests.builders import make_pair


@pytest.fixture
def stored(workspace):
    return judgments.model_judge(workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})


def test_view_holds_what_is_in_force_and_nothing_of_other_datasets(workspace, dataset, annotator, stored):
    other = people.get_or_create_dataset(workspace, "other")
    pair, elsewhere = make_pair(dataset, a="Left.", b="Right, at length."), make_pair(other)
    person = judgments.human_judge(workspace, annotator)
    first = judgments.record(pair, person, strength=1)
    judgments.record(pair, person, strength=-2, supersedes=first)
    judgments.record(pair, stored, strength=2)
    Reward.objects.create(response=pair.response_a, judge=stored, value=0.5)
    Consensus.objects.create(
        dataset=dataset, pair=pair, method="majority", probability_a=0.5, probability_tie=0, probability_b=0.5,
        n_judgments=2, disagreement=0.6,
    )  # fmt: skip
    [view] = load_views(dataset, [pair.pk, elsewhere.pk])
    assert (view.id, view.stored_strength, view.text_a, view.text_b) == (pair.pk, 2, "Left.", "Right, at length.")
    assert [(vote.judge_name, vote.verdict, vote.of_app) for vote in view.votes] == [
        ("alice", "a", True),
        (STORED_LABEL, "b", False),
    ]
    assert view.rewards[stored.pk].margin is None
    assert view.rewards[stored.pk].a == 0.5
    assert view.consensus["majority"].disagreement == 0.6
    assert (view.twins.first_pair, view.twins.n_pairs) == (pair.pk, 1)


def test_only_what_is_needed_is_read(dataset, django_assert_num_queries):
    pairs = [make_pair(dataset, number) for number in range(12)]
    ids = [pair.pk for pair in pairs]
    with django_assert_num_queries(1):
        assert load_views(dataset, ids, needs=frozenset())[0].text_a == ""
    with django_assert_num_queries(5):
        assert [view.id for view in load_views(dataset, ids[::-1])] == ids


def test_equal_pairs_find_each_other_across_swapped_sides(dataset, stored):
    texts = {"prompt": "Which?", "a": "This one.", "b": "That one."}
    first = make_pair(dataset, 1, **texts)
    swapped = make_pair(dataset, 2, prompt="Which?", a="That one.", b="This one.")
    judgments.record(first, stored, strength=-1)  # this one
    judgments.record(swapped, stored, strength=-1)  # that one
    views = load_views(dataset, [first.pk, swapped.pk], needs=frozenset({"twins", "votes"}))
    assert {view.twins.first_pair for view in views} == {first.pk}
    assert all(view.twins.winners == {first.response_a_id, first.response_b_id} for view in views)


def test_no_pairs_give_no_views(dataset):
    assert load_views(dataset, []) == []
