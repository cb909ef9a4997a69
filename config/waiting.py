"""Work that no worker has taken: what the banner, the status page and `doctor` say about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from curation import chunks
from curation.access import CURATORS
from curation.models import Chunk, Import, Run, User, WorkerBeat, Workspace
from curation.progress import IMPATIENCE

BEAT_LASTS = timedelta(seconds=15)
SHOWN = 5
START = {
    "cpu": "celery -A config worker -Q cpu",
    "gpu": "celery -A config worker -Q gpu --pool solo --concurrency 1",
}


@dataclass(frozen=True)
class Waiting:
    """One run or import that waits, and whether a worker of its queue is alive (then it is busy with something else)."""

    work: Run | Import
    is_run: bool
    name: str
    queue: str
    since: datetime
    has_worker: bool

    @property
    def remedy(self) -> str:
        if self.has_worker:
            return f"The workers of queue {self.queue} are busy; more of them would take it sooner."
        return (
            f"No worker of queue {self.queue} is running. Start everything with manage.py up, or one worker: {START[self.queue]}"
        )


def waiting_runs() -> QuerySet[Run]:
    """Open runs with a chunk to claim, which nobody works on and nobody did within the last 10 s."""
    now = timezone.now()
    of_run = Chunk.objects.filter(run=OuterRef("pk"))
    recent = of_run.filter(started_at__gt=now - IMPATIENCE)
    open_runs = Run.objects.filter(finished_at__isnull=True, cancelled_at__isnull=True, created_at__lt=now - IMPATIENCE)
    idle = open_runs.filter(Exists(of_run.filter(chunks.claimable(now)))).exclude(Exists(of_run.filter(chunks.held(now))))
    return idle.exclude(Exists(recent))


def waiting_imports() -> QuerySet[Import]:
    """Imports that were never begun, or whose worker is gone."""
    late = timezone.now() - IMPATIENCE
    fresh = Q(state=Import.State.WAITING, lease_until__isnull=True)
    dropped = Q(state__in=[Import.State.WAITING, Import.State.RUNNING], lease_until__lt=late)
    return Import.objects.filter(fresh | dropped, created_at__lt=late)


def queues_with_workers() -> set[str]:
    """Queues that a living worker listens to."""
    beats = WorkerBeat.objects.filter(seen_at__gte=timezone.now() - BEAT_LASTS).values_list("queues", flat=True)
    return {queue for queues in beats for queue in queues}


def waiting_work(workspaces: Iterable[Workspace] | QuerySet[Workspace] | None = None) -> list[Waiting]:
    """The oldest few that wait, in these workspaces or in all of them."""
    runs = waiting_runs().select_related("dataset__workspace").order_by("created_at")
    imports = waiting_imports().select_related("dataset__workspace").order_by("created_at")
    if workspaces is not None:
        runs, imports = runs.filter(dataset__workspace__in=workspaces), imports.filter(dataset__workspace__in=workspaces)
    found = list(runs[:SHOWN]), list(imports[:SHOWN])
    alive = queues_with_workers() if any(found) else set()
    waiting = [Waiting(run, True, f"step {run.step}", run.queue, run.created_at, run.queue in alive) for run in found[0]]
    waiting += [Waiting(item, False, f"import of {item.file_name}", "cpu", item.created_at, "cpu" in alive) for item in found[1]]
    return sorted(waiting, key=lambda item: item.since)[:SHOWN]


def waiting_for(user: User) -> list[Waiting]:
    """What waits in the workspaces that this person curates; those who cannot mend it are not told."""
    if not user.is_authenticated:
        return []
    return waiting_work(Workspace.objects.filter(memberships__user=user, memberships__role__in=CURATORS))
