"""Decisions: append-only, one per run and pair, people before rules, and undo."""

import pytest
from django.db import DatabaseError, transaction

from curation import decisions, judgments, people
from curation.decisions import Refused
from curation.models import Action, Dataset, Decision, JudgeKind, Pair, Pool, Run
from curation.types import STORED_LABEL, Ruling
from tests.builders import make_pair


@pytest.fixture
def pair(dataset) -> Pair:
    return make_pair(dataset)


def make_run(dataset: Dataset) -> Run:
    return Run.objects.create(dataset=dataset, step="decide", key="k")


def store_label(pair: Pair, strength: int) -> None:
    judge = judgments.model_judge(pair.dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
    judgments.record(pair, judge, strength=strength)


FLIP = Ruling("flip", "models_reverse", "models", 2.0)
DROP = Ruling("drop", "identical_responses", "rule")


@pytest.mark.parametrize(
    ("ruling", "pool"),
    [
        (FLIP, Pool.SILVER),
        (Ruling("keep", "people_confirm", "people", 1.0), Pool.GOLD),
        (DROP, Pool.DISCARDED),
        (Ruling("to_human", "unresolved", "rule"), Pool.UNVERIFIED),
    ],
)
def test_a_ruling_puts_the_pair_in_its_pool_with_its_reason(dataset, pair, ruling, pool):
    assert decisions.decide_many(make_run(dataset), [(pair.pk, ruling)]) == 1
    pair.refresh_from_db()
    made = Decision.objects.get()
    assert (pair.pool, made.pool_after, made.reason, made.strength) == (pool, pool, ruling.reason, ruling.strength)


def test_deciding_the_same_again_adds_nothing(dataset, pair):
    run = make_run(dataset)
    assert decisions.decide_many(run, [(pair.pk, FLIP)]) == 1
    assert decisions.decide_many(run, [(pair.pk, FLIP)]) == 0
    assert decisions.decide_many(make_run(dataset), [(pair.pk, FLIP)]) == 0
    assert decisions.decide_many(make_run(dataset), [(pair.pk, DROP)]) == 1


def test_a_run_decides_pairs_of_its_own_dataset_only(workspace, dataset):
    foreign = make_pair(people.get_or_create_dataset(workspace, "others"))
    assert decisions.decide_many(make_run(dataset), [(foreign.pk, DROP)]) == 0
    foreign.refresh_from_db()
    assert foreign.pool == Pool.UNVERIFIED


def test_a_pair_dropped_once_and_flipped_later_is_recycled(dataset, pair):
    decisions.decide_many(make_run(dataset), [(pair.pk, DROP)])
    decisions.decide_many(make_run(dataset), [(pair.pk, FLIP)])
    pair.refresh_from_db()
    assert pair.pool == Pool.RECYCLED


def test_a_curators_word_stands_against_later_runs_until_it_is_undone(dataset, pair, curator):
    decisions.decide_by_hand(pair, user=curator, choice="a")
    assert decisions.decide_many(make_run(dataset), [(pair.pk, DROP)]) == 0
    decisions.decide_by_hand(pair, user=curator, choice="undo")
    assert decisions.decide_many(make_run(dataset), [(pair.pk, DROP)]) == 1


def test_what_a_curator_sends_to_people_is_decided_by_what_they_say(dataset, pair, curator):
    decisions.decide_by_hand(pair, user=curator, choice="to_human")
    assert decisions.decide_many(make_run(dataset), [(pair.pk, Ruling("keep", "people_confirm", "people", -2.0))]) == 1


@pytest.mark.parametrize(
    ("stored", "choice", "action", "strength"),
    [
        (-2, "a", Action.KEEP, -2.0),
        (-2, "b", Action.FLIP, 1.0),
        (2, "tie", Action.RELABEL, 0.0),
        (None, "b", Action.RELABEL, 1.0),
    ],
)
def test_a_choice_by_hand_is_named_by_what_it_does_to_the_stored_label(pair, curator, stored, choice, action, strength):
    if stored is not None:
        store_label(pair, stored)
    made = decisions.decide_by_hand(pair, user=curator, choice=choice, note="seen twice")
    assert (made.action, made.strength, made.pool_after, made.detail["note"]) == (action, strength, Pool.GOLD, "seen twice")


def test_undo_restores_step_by_step_and_stops_at_the_beginning(dataset, pair, curator):
    decisions.decide_many(make_run(dataset), [(pair.pk, FLIP)])
    decisions.decide_by_hand(pair, user=curator, choice="drop")
    seen = []
    for _ in range(2):
        decisions.undo(pair, user=curator)
        pair.refresh_from_db()
        seen.append((pair.pool, decisions.label_in_force(pair)))
    assert seen == [(Pool.SILVER, 2.0), (Pool.UNVERIFIED, None)]
    with pytest.raises(Refused, match="nothing|no decision"):
        decisions.undo(pair, user=curator)
    assert Decision.objects.count() == 4


@pytest.mark.parametrize("choice", ["", "c", "keep"])
def test_an_unknown_choice_is_refused(pair, curator, choice):
    with pytest.raises(Refused):
        decisions.decide_by_hand(pair, user=curator, choice=choice)


def test_the_label_in_force_is_the_stored_one_until_something_is_decided(dataset, curator):
    plain, labelled, decided = (make_pair(dataset, number) for number in range(3))
    store_label(labelled, -2)
    store_label(decided, -2)
    decisions.decide_by_hand(decided, user=curator, choice="drop")
    assert [decisions.label_in_force(pair) for pair in (plain, labelled, decided)] == [None, -2.0, None]


def test_decisions_cannot_be_rewritten(pair, curator):
    decisions.decide_by_hand(pair, user=curator, choice="drop")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Decision.objects.update(reason="other")
