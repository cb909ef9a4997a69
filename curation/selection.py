"""The only writer of ReviewBatch and ReviewItem: which pairs people should see, most wanted first.

A pair is worth a person's time where the label that came with it is probably wrong by the consensus, and where many judges vote
against it, whatever each of them is worth: the consensus may trust the wrong ones. Left out are pairs
that people of this app already judged, that an open batch already asks for, whose responses are the same text, or that repeat
an earlier pair.
"""

from collections.abc import Callable, Sequence

import numpy as np
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from curation import judgments
from curation.consensus import METHODS, vote_shares
from curation.models import Consensus, Dataset, JudgeKind, Judgment, Pair, ReviewBatch, ReviewItem, Run, User
from models_runtime.hashing import content_hash

ROWS_PER_INSERT = 2000
CHOSEN = "chosen"  # policy and reason of pairs that a curator picked
Chosen = list[tuple[int, float | None, str]]  # pair, score, reason: most wanted first


class CannotSelect(Exception):
    """No batch can be opened; the message says what is missing."""


@transaction.atomic
def open_batch(
    dataset: Dataset,
    *,
    policy: str,
    n: int | None = None,
    share: float | None = None,
    overlap: int = 1,
    run: Run | None = None,
    user: User | None = None,
    title: str = "",
) -> ReviewBatch:
    """Choose pairs and ask people about them. A run has one batch: opening it again returns the first.

    n: how many pairs at most; share: that share of all pairs of the dataset, rounded down. Raises CannotSelect when the policy
    is unknown, when neither or both of n and share are given, or when the policy lacks what it orders by.
    """
    if policy not in POLICIES:
        raise CannotSelect(f"There is no review policy {policy!r}; there are: {', '.join(POLICIES)}.")
    if overlap < 1:
        raise CannotSelect(f"Every pair needs at least one person; overlap is {overlap}.")
    Dataset.objects.select_for_update().get(pk=dataset.pk)  # two batches opened at once must not ask for the same pairs
    existing = ReviewBatch.objects.filter(run=run).first() if run is not None else None
    if existing is not None:
        return existing
    chosen = POLICIES[policy](dataset, _wanted(dataset, n, share), run)
    batch = ReviewBatch.objects.create(
        dataset=dataset, run=run, title=title or DEFAULT_TITLES[policy], policy=policy, overlap=overlap, created_by=user
    )
    return _fill(batch, chosen)


@transaction.atomic
def open_chosen(dataset: Dataset, *, pairs: Sequence[int], overlap: int = 1, user: User, title: str = "") -> ReviewBatch:
    """Ask people about the pairs that a curator picked, in the order given, whether or not people judged them before.

    Left out are pairs of other datasets and pairs that an open batch asks for already. Raises CannotSelect when none is left.
    """
    Dataset.objects.select_for_update().get(pk=dataset.pk)
    asked = ReviewItem.objects.filter(pair=OuterRef("pk"), batch__closed_at__isnull=True)
    free = set(Pair.objects.filter(~Exists(asked), dataset=dataset, pk__in=pairs).values_list("pk", flat=True))
    chosen = [(pair, None, CHOSEN) for pair in dict.fromkeys(pairs) if pair in free]
    if not chosen:
        raise CannotSelect("Nothing was sent: people are asked about these pairs already.")
    batch = ReviewBatch.objects.create(
        dataset=dataset, title=title or "Chosen by hand", policy=CHOSEN, overlap=overlap, created_by=user
    )
    return _fill(batch, chosen)


def _fill(batch: ReviewBatch, chosen: Chosen) -> ReviewBatch:
    items = [
        ReviewItem(batch=batch, pair_id=pair, position=position, score=score, reason=reason)
        for position, (pair, score, reason) in enumerate(chosen)
    ]
    ReviewItem.objects.bulk_create(items, batch_size=ROWS_PER_INSERT)
    return batch


def close_batch(batch: ReviewBatch) -> None:
    """Hand out no further slots of it. Closing twice keeps the first time."""
    ReviewBatch.objects.filter(pk=batch.pk, closed_at__isnull=True).update(closed_at=timezone.now())


def _wanted(dataset: Dataset, n: int | None, share: float | None) -> int:
    if (n is None) == (share is None):
        raise CannotSelect("Say how many pairs people should see: either n, or share of all pairs.")
    if n is not None:
        return max(n, 0)
    if not 0 <= share <= 1:
        raise CannotSelect(f"share is a part of all pairs, between 0 and 1; it is {share}.")
    return int(share * Pair.objects.filter(dataset=dataset).count() + 1e-9)


def candidates(dataset: Dataset) -> QuerySet[Pair]:
    """Pairs that a person may usefully be asked about, in no order."""
    of_people = Judgment.objects.filter(pair=OuterRef("pk"), judge__kind=JudgeKind.HUMAN, judge__user__isnull=False)
    asked = ReviewItem.objects.filter(pair=OuterRef("pk"), batch__closed_at__isnull=True)
    earlier = Pair.objects.filter(dataset=dataset, content_key=OuterRef("content_key"), pk__lt=OuterRef("pk"))
    found = Pair.objects.filter(dataset=dataset).exclude(response_a=F("response_b"))
    return found.filter(~Exists(judgments.in_force(of_people)), ~Exists(asked), ~Exists(earlier))


def at_random(dataset: Dataset, n: int, run: Run | None) -> Chosen:
    """Any pairs, drawn by a hash of the draw and the pair: the same run draws the same pairs again."""
    draw = _draw(dataset, run)
    ids = candidates(dataset).order_by("pk").values_list("pk", flat=True).iterator(chunk_size=20_000)
    drawn = sorted(ids, key=lambda pair: content_hash([draw, pair]))[:n]
    return [(pair, None, "random") for pair in drawn]


def _draw(dataset: Dataset, run: Run | None) -> list[int]:
    """What one draw is known by: its place in its recipe, or, without a run, how many batches there were before."""
    if run is None:
        return [dataset.pk, 0, ReviewBatch.objects.filter(dataset=dataset, run__isnull=True).count()]
    return [dataset.pk, 1, int(run.params.get("seed") or 0), run.step_no]


def by_disagreement(dataset: Dataset, n: int, run: Run | None) -> Chosen:
    """Probability that the stored label is wrong plus the share of votes against it, highest first; equal ones by pair id.

    For a pair without a stored label, the same of its likeliest verdict. Raises CannotSelect without consensus.
    """
    method = next((name for name in METHODS if Consensus.objects.filter(dataset=dataset, method=name).exists()), None)
    if method is None:
        raise CannotSelect("There is no consensus to choose by: rebuild it first, `manage.py consensus DATASET`.")
    found = Consensus.objects.filter(dataset=dataset, method=method, pair__in=candidates(dataset)).order_by("pair_id")
    stored_side = judgments.stored_side(dataset, pair="pair")
    rows = found.values_list("pair_id", "probability_a", "probability_tie", "probability_b", stored_side)
    table = np.array(list(rows.iterator(chunk_size=20_000)), dtype=np.float64).reshape(-1, 5)  # ids stay exact below 2**53
    pair_ids, probabilities, stored = table[:, 0].astype(np.int64), table[:, 1:4], table[:, 4]
    label = np.where(np.isnan(stored), probabilities.argmax(axis=1), np.nan_to_num(stored) + 1).astype(np.int64)
    wrong, against = (
        1 - np.take_along_axis(each, label[:, None], 1)[:, 0] for each in (probabilities, vote_shares(dataset, pair_ids))
    )
    score = wrong + against
    first = np.lexsort((pair_ids, -score))[:n]
    return [(int(pair_ids[i]), float(score[i]), "label_in_doubt" if wrong[i] >= 0.5 else "judges_disagree") for i in first]


POLICIES: dict[str, Callable[[Dataset, int, Run | None], Chosen]] = {"disagreement": by_disagreement, "random": at_random}
DEFAULT_TITLES = {"disagreement": "Pairs in doubt", "random": "Random pairs"}
