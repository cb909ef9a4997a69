"""How far a run is, for pages and commands: derived from its chunks in one grouped query, never stored."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, IntegerField, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from curation import chunks, judgments
from curation.models import Chunk, ChunkState, Judgment, ReviewItem, Run

IMPATIENCE = timedelta(seconds=10)  # after that a run which nobody took says so


@dataclass(frozen=True)
class Progress:
    """state: waiting, running, reviewing, done, failed (some chunks gave up) or cancelled. While reviewing, and afterwards, the
    counts are human answers wanted and given; otherwise pairs. n_missing: pairs computed without a value.
    """

    state: str
    n_pairs: int
    n_done: int
    n_failed: int
    n_missing: int
    seconds_left: float | None
    waiting_for_worker: bool
    pairs_per_second: float | None = None  # while chunks were being done; None before the first is, and for a review

    @property
    def share(self) -> float:
        """Done or failed, of all; 1 where there is nothing to do."""
        return (self.n_done + self.n_failed) / self.n_pairs if self.n_pairs else 1.0

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "running", "reviewing")


def progress(run: Run) -> Progress:
    """Where this run stands now."""
    now = timezone.now()
    counted = tally(run, now)
    state = state_of(run, started=counted["started"] > 0, reviewing=counted["reviewing"] > 0, broken=counted["chunks_failed"] > 0)
    n_pairs, n_done = counted["pairs"], counted["done"]
    if run.step == "review" and counted["reviewing"] + counted["chunks_done"]:
        n_pairs, n_done = answers(run)
    asked = max(run.created_at, counted["last_finished"] or run.created_at)
    idle = state in ("waiting", "running") and counted["claimable"] > 0 and not counted["leased"]
    return Progress(
        state=state, n_pairs=n_pairs, n_done=n_done, n_failed=counted["failed"], n_missing=counted["missing"],
        seconds_left=seconds_left(counted, now) if state == "running" else None,
        waiting_for_worker=idle and now - asked > IMPATIENCE,
        pairs_per_second=pairs_per_second(counted) if run.step != "review" else None,
    )  # fmt: skip


STARTED = Q(attempts__gt=0) | Q(state=ChunkState.DONE)  # a chunk that somebody took, whatever became of it


def tally(run: Run, now: datetime) -> dict[str, Any]:
    """Chunks and pairs by state, and the times that tell the speed."""
    done = Q(state=ChunkState.DONE)
    return Chunk.objects.filter(run=run).aggregate(
        chunks=Count("id"),
        pairs=Coalesce(Sum("n_pairs"), 0),
        done=Coalesce(Sum("n_pairs", filter=done), 0),
        failed=Coalesce(Sum("n_pairs", filter=Q(state=ChunkState.FAILED)), 0),
        missing=Coalesce(Sum("n_missing"), 0),
        chunks_done=Count("id", filter=done),
        chunks_failed=Count("id", filter=Q(state=ChunkState.FAILED)),
        reviewing=Count("id", filter=Q(state=ChunkState.WAITING)),
        leased=Count("id", filter=chunks.held(now)),
        claimable=Count("id", filter=chunks.claimable(now)),
        started=Count("id", filter=STARTED),
        first_started=Min("started_at", filter=done),
        last_finished=Max("finished_at", filter=done),
    )


def state_of(run: Run, *, started: bool, reviewing: bool, broken: bool) -> str:
    """The state of a run by what its chunks say: whether any was tried, waits for people, or gave up."""
    if run.cancelled_at:
        return "cancelled"
    if run.finished_at:
        return "failed" if broken else "done"
    if reviewing:
        return "reviewing"
    return "running" if started else "waiting"


def seconds_spent(counted: dict[str, Any]) -> float:
    """From the start of the first done chunk to the end of the last."""
    return (counted["last_finished"] - counted["first_started"]).total_seconds() if counted["first_started"] else 0.0


def pairs_per_second(counted: dict[str, Any]) -> float | None:
    spent = seconds_spent(counted)
    return counted["done"] / spent if spent > 0 else None


def seconds_left(counted: dict[str, Any], now: datetime) -> float | None:
    """From the speed so far; None before the first chunk is done."""
    if not counted["done"]:
        return None
    left = counted["pairs"] - counted["done"] - counted["failed"]
    return max(0.0, left * seconds_spent(counted) / counted["done"])


def answers(run: Run) -> tuple[int, int]:
    """(wanted, given) human answers of the run's batch."""
    counted = Least(Coalesce(Subquery(answers_given()), 0), F("batch__overlap"), output_field=IntegerField())
    items = ReviewItem.objects.filter(batch__run=run).annotate(counted=counted)
    found = items.aggregate(wanted=Coalesce(Sum("batch__overlap"), 0), given=Coalesce(Sum("counted"), 0))
    return found["wanted"], found["given"]


def answers_given() -> QuerySet[Judgment]:
    """For a ReviewItem: how many people of this app have an answer in force on its pair, given since its batch was opened."""
    since = Judgment.objects.filter(
        pair=OuterRef("pair"), created_at__gte=OuterRef("batch__created_at"), judge__user__isnull=False
    )
    return judgments.in_force(since).order_by().values("pair").annotate(n=Count("judge", distinct=True)).values("n")
