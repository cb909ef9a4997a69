"""The ledger: one door, nothing lost, nothing doubled, nothing rewritten."""

import threading
import uuid

import pytest
from django.db import DatabaseError, connection, transaction

from curation import judgments, people
from curation.judgments import NewJudgment, Refused
from curation.models import Dataset, Judge, JudgeKind, Judgment, Role
from tests.builders import make_pair


@pytest.fixture
def pair(dataset):
    return make_pair(dataset)


@pytest.fixture
def judge(workspace, annotator) -> Judge:
    return judgments.human_judge(workspace, annotator)


def model(workspace, revision: str) -> Judge:
    return judgments.model_judge(workspace, JudgeKind.LLM_JUDGE, "tiny", method="pairwise", spec={"revision": revision})


def test_a_person_is_one_judge_per_workspace(workspace, annotator, judge):
    elsewhere = people.get_or_create_workspace("elsewhere")
    assert judgments.human_judge(workspace, annotator) == judge
    assert judgments.human_judge(elsewhere, annotator) != judge


def test_a_changed_model_is_another_judge(workspace):
    assert model(workspace, "one") == model(workspace, "one") != model(workspace, "two")


def test_sending_a_form_twice_stores_one_judgment(pair, judge):
    client_id = uuid.uuid4()
    first = judgments.record(pair, judge, strength=2, order_shown="ab", client_id=client_id)
    second = judgments.record(pair, judge, strength=-1, order_shown="ba", client_id=client_id)
    assert (second.pk, second.strength) == (first.pk, 2)
    assert Judgment.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_form_that_arrives_twice_at_once_stores_one_judgment(pair, judge):
    client_id, found, start = uuid.uuid4(), [], threading.Barrier(4)

    def send():
        start.wait()
        try:
            found.append(judgments.record(pair, judge, strength=1, client_id=client_id).pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == Judgment.objects.count() == 1


def test_a_client_id_of_somebody_else_gives_nothing_away(pair, judge, workspace, annotator_two):
    client_id = uuid.uuid4()
    judgments.record(pair, judge, strength=1, client_id=client_id)
    with pytest.raises(Refused):
        judgments.record(pair, judgments.human_judge(workspace, annotator_two), strength=1, client_id=client_id)


def test_a_change_of_mind_supersedes_and_both_rows_stay(dataset, pair, judge):
    old = judgments.record(pair, judge, strength=2)
    new = judgments.record(pair, judge, strength=-3, supersedes=old)
    assert list(judgments.current(dataset)) == [new]
    assert Judgment.objects.count() == 2


def test_a_second_answer_that_names_no_first_is_refused(pair, judge):
    judgments.record(pair, judge, strength=2)
    with pytest.raises(Refused, match="already answered"):
        judgments.record(pair, judge, strength=1)


def test_only_a_judgment_in_force_by_the_same_judge_on_the_same_pair_can_be_superseded(
    dataset, pair, judge, workspace, annotator_two
):
    old = judgments.record(pair, judge, strength=2)
    with pytest.raises(Refused):
        judgments.record(pair, judgments.human_judge(workspace, annotator_two), strength=1, supersedes=old)
    with pytest.raises(Refused):
        judgments.record(make_pair(dataset, 1), judge, strength=1, supersedes=old)
    judgments.record(pair, judge, strength=1, supersedes=old)
    with pytest.raises(Refused, match="no longer in force"):
        judgments.record(pair, judge, strength=3, supersedes=old)


def test_an_answer_taken_back_can_be_given_again(dataset, pair, judge):
    judgments.retract(judgments.record(pair, judge, strength=2, order_shown="ab"))
    assert not judgments.current(dataset).exists()
    again = judgments.record(pair, judge, strength=-1, order_shown="ab")
    assert list(judgments.current(dataset)) == [again]
    judgments.retract(again)
    assert not judgments.current(dataset).exists()


def test_current_judgments_are_those_of_the_dataset_asked_for(workspace, dataset, pair, judge):
    other = people.get_or_create_dataset(workspace, "others")
    here = judgments.record(pair, judge, strength=1)
    there = judgments.record(make_pair(other), judge, strength=1)
    assert list(judgments.current(dataset)) == [here]
    assert list(judgments.current(other)) == [there]


@pytest.mark.parametrize(
    ("strength", "tie_kind"), [(0, ""), (None, ""), (4, ""), (1, "tie"), (0, "unreadable"), (None, "both_bad")]
)
def test_a_strength_that_does_not_fit_its_tie_kind_is_refused_in_words(pair, judge, strength, tie_kind):
    with pytest.raises(Refused, match="does not fit"):
        judgments.record(pair, judge, strength=strength, tie_kind=tie_kind)


def test_many_judgments_go_in_once_and_are_counted_honestly(dataset: Dataset, workspace):
    judge, pairs = model(workspace, "one"), [make_pair(dataset, number) for number in range(3)]
    rows = [NewJudgment(pair.pk, judge, 1, order_shown=order) for pair in pairs for order in ("ab", "ba")]
    assert judgments.record_many(rows[:2], dataset=dataset) == 2
    assert judgments.record_many(rows, dataset=dataset) == 4
    assert judgments.record_many(rows, dataset=dataset) == 0
    assert judgments.record_many([], dataset=dataset) == 0


def test_the_ledger_cannot_be_rewritten(pair, judge):
    written = judgments.record(pair, judge, strength=1)
    for change in (lambda: Judgment.objects.update(strength=2), written.delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_roles_do_not_change_whose_judgments_they_are(workspace, annotator, pair, judge):
    judgments.record(pair, judge, strength=1)
    people.add_member(workspace, annotator.username, Role.VIEWER)
    assert judgments.human_judge(workspace, annotator) == judge
