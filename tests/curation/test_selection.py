"""What people are asked: the pairs in doubt, each once, and the same ones when a run is repeated."""

import pytest

from curation import judgments, people, selection
from curation.models import Consensus, Dataset, JudgeKind, Pair, ReviewBatch, Run
from curation.selection import CannotSelect
from curation.types import STORED_LABEL
from tests.builders import make_pair


def pairs_of(batch: ReviewBatch) -> list[int]:
    return list(batch.items.order_by("position").values_list("pair_id", flat=True))


def computed(pair: Pair, a: float, b: float, stored: int | None = -1) -> Pair:
    """The pair with a consensus, and a stored label where one is given."""
    if stored is not None:
        judge = judgments.model_judge(pair.dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
        judgments.record(pair, judge, strength=stored)
    Consensus.objects.create(
        dataset=pair.dataset, pair=pair, method="dawid_skene", probability_a=a, probability_tie=0, probability_b=b,
        n_judgments=3, disagreement=0.5,
    )  # fmt: skip
    return pair


@pytest.fixture
def other(workspace) -> Dataset:
    return people.get_or_create_dataset(workspace, "other")


def test_labels_that_are_probably_wrong_or_outvoted_come_first(workspace, dataset, other):
    sure = computed(make_pair(dataset, 1), 0.95, 0.05)
    wrong = computed(make_pair(dataset, 2), 0.1, 0.9)
    outvoted = computed(make_pair(dataset, 3), 0.9, 0.1)
    unlabelled = computed(make_pair(dataset, 4), 0.7, 0.3, stored=None)
    computed(make_pair(other, 5), 0.0, 1.0)
    for name in ("one", "two"):
        judgments.record(outvoted, judgments.model_judge(workspace, JudgeKind.LLM_JUDGE, name, spec={}), strength=3)
    batch = selection.open_batch(dataset, policy="disagreement", n=10)
    assert pairs_of(batch) == [unlabelled.pk, wrong.pk, outvoted.pk, sure.pk]
    assert [item.reason for item in batch.items.order_by("position")] == [
        "judges_disagree", "label_in_doubt", "judges_disagree", "judges_disagree",
    ]  # fmt: skip
    assert [round(item.score, 3) for item in batch.items.order_by("position")] == [0.967, 0.9, 0.767, 0.05]


def test_nobody_is_asked_twice_nor_about_what_says_nothing(workspace, dataset, annotator):
    judged, asked, free = (computed(make_pair(dataset, number), 0.5, 0.5) for number in range(3))
    computed(make_pair(dataset, 3, a="Same.", b="Same."), 0.5, 0.5)
    computed(make_pair(dataset, 4, prompt="Q", a="One", b="Two"), 0.9, 0.1)
    repeated = computed(make_pair(dataset, 5, prompt="Q", a="Two", b="One"), 0.1, 0.9)
    judgments.record(judged, judgments.human_judge(workspace, annotator), strength=1)
    first = selection.open_batch(dataset, policy="disagreement", n=1)
    assert pairs_of(first) == [asked.pk]
    second = selection.open_batch(dataset, policy="disagreement", n=10)
    assert free.pk in pairs_of(second)
    assert not {judged.pk, asked.pk, repeated.pk} & set(pairs_of(second))
    assert second.items.count() == 2


def test_pairs_of_a_closed_batch_and_taken_back_answers_may_be_asked_again(workspace, dataset, annotator):
    pair = make_pair(dataset)
    first = selection.open_batch(dataset, policy="random", n=1)
    judgments.retract(judgments.record(pair, judgments.human_judge(workspace, annotator), strength=1))
    assert pairs_of(selection.open_batch(dataset, policy="random", n=1)) == []
    selection.close_batch(first)
    assert pairs_of(selection.open_batch(dataset, policy="random", n=1)) == [pair.pk]


def test_imported_annotators_do_not_keep_a_pair_from_people(workspace, dataset):
    pair = make_pair(dataset)
    judgments.record(pair, judgments.model_judge(workspace, JudgeKind.HUMAN, "annotator 1", spec={}), strength=1)
    assert pairs_of(selection.open_batch(dataset, policy="random", n=1)) == [pair.pk]


def test_a_share_is_of_all_pairs_and_rounded_down(dataset):
    for number in range(19):
        make_pair(dataset, number)
    assert selection.open_batch(dataset, policy="random", share=0.15).items.count() == 2


def test_a_run_has_one_batch_and_draws_the_same_pairs_again(dataset):
    for number in range(30):
        make_pair(dataset, number)
    run = Run.objects.create(dataset=dataset, step="review", params={"seed": 4}, key="k")
    batch = selection.open_batch(dataset, policy="random", n=5, run=run)
    assert selection.open_batch(dataset, policy="random", n=9, run=run) == batch
    drawn = pairs_of(batch)
    selection.close_batch(batch)
    again = Run.objects.create(dataset=dataset, step="review", params={"seed": 4}, key="k")
    another = Run.objects.create(dataset=dataset, step="review", params={"seed": 5}, key="k")
    repeated = selection.open_batch(dataset, policy="random", n=5, run=again)
    assert pairs_of(repeated) == drawn
    selection.close_batch(repeated)
    assert pairs_of(selection.open_batch(dataset, policy="random", n=5, run=another)) != drawn


def test_closing_twice_keeps_the_first_time(dataset):
    make_pair(dataset)
    batch = selection.open_batch(dataset, policy="random", n=1)
    selection.close_batch(batch)
    batch.refresh_from_db()
    closed_at = batch.closed_at
    selection.close_batch(batch)
    batch.refresh_from_db()
    assert batch.closed_at == closed_at


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"policy": "guess", "n": 1}, "disagreement, random"),
        ({"policy": "random"}, "n, or share"),
        ({"policy": "random", "n": 1, "share": 0.1}, "n, or share"),
        ({"policy": "random", "share": 1.5}, "between 0 and 1"),
        ({"policy": "random", "n": 1, "overlap": 0}, "one person"),
        ({"policy": "disagreement", "n": 1}, "manage.py consensus"),
    ],
)
def test_a_wish_that_cannot_be_met_says_why(dataset, wish, word):
    with pytest.raises(CannotSelect, match=word):
        selection.open_batch(dataset, **wish)
    assert not ReviewBatch.objects.exists()
