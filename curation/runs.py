"""The only writer of runs: working on chunks, finishing, cancelling, retrying, and the sweep that mends what a crash left.

The database is the queue of record (docs/decisions/0001-database-is-the-queue.md). Planning stands in planning.py, claims and
leases in chunks.py, messages to workers in waking.py, figures for pages in progress.py; callers find all of it here.
"""

import logging
import time
import traceback

from django.db import InterfaceError, OperationalError, close_old_connections, transaction
from django.db.models import Exists, F, Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from curation import chunks, recipes, selection, stopping
from curation.chunks import Claim, ClaimLost, Lease
from curation.models import Chunk, ChunkState, Dataset, Recipe, ReviewBatch, ReviewItem, Run
from curation.planning import advance, plan_again, start_recipe, start_run
from curation.progress import Progress, answers_given, progress
from curation.steps import STEPS
from curation.steps.base import CannotRun, Stored, Work
from curation.waking import wake, wake_forgotten
from models_runtime.types import BackendError

__all__ = [
    "CannotRun",
    "Progress",
    "advance",
    "cancel",
    "cancel_recipe",
    "drain",
    "finish_review",
    "progress",
    "queue_of",
    "retry_failed",
    "reviews_answered",
    "start_recipe",
    "start_run",
    "sweep",
    "wake",
    "wake_stalled",
]
logger = logging.getLogger(__name__)

UNFINISHED = (ChunkState.PENDING, ChunkState.LEASED, ChunkState.WAITING)
RECONNECT_SECONDS = 20  # for so long a turn waits for a database that restarts


def drain(run_id: int, *, seconds: float) -> bool:
    """Work on a run's chunks for about so many seconds. True: there is more to do now.

    A database that goes away in between is waited for; chunks that others hold are left to them.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until and not stopping.asked():
        try:
            if not turn(run_id):
                return False
        except (OperationalError, InterfaceError) as error:
            logger.warning("The database is away (%s); trying again.", str(error).splitlines()[0] if str(error) else error)
            if not reconnected():
                return False
    return True


def turn(run_id: int) -> bool:
    """One chunk of an open run. False: there is nothing to claim."""
    run = Run.objects.select_related("dataset__workspace", "judge", "recipe").filter(pk=run_id).first()
    if run is None or run.finished_at or run.cancelled_at:
        return False
    claimed = chunks.claim(run)
    if claimed is None:
        finish(run.pk)
        return False
    work_on(run, claimed)
    finish(run.pk)
    return True


def reconnected() -> bool:
    """Wait until the database answers again; False when it does not in time, and the sweep will have to."""
    until = time.monotonic() + RECONNECT_SECONDS
    while time.monotonic() < until and not stopping.asked():
        close_old_connections()
        try:
            Run.objects.exists()
            return True
        except (OperationalError, InterfaceError):
            time.sleep(0.2)
    return False


def work_on(run: Run, claimed: Claim) -> None:
    """Compute one chunk with no transaction open, then store and finish it in one."""
    step = STEPS[run.step]
    work = Work(run, recipes.step_from(run.step, run.params), claimed.chunk.first_pair, claimed.chunk.last_pair)
    try:
        with Lease(claimed):
            computed = step.compute(work)
        store(work, claimed, computed)
    except ClaimLost:
        logger.warning("Chunk %s went to another worker; its values here are thrown away.", claimed.chunk.pk)
    except (OperationalError, InterfaceError):
        raise  # the database is away: the chunk comes back when its lease runs out
    except (BackendError, CannotRun) as error:
        chunks.release(claimed, str(error), for_good=getattr(error, "permanent", True))
    except Exception as error:  # whatever a model or its library throws must not stop the other chunks
        logger.exception("Chunk %s of run %s", claimed.chunk.pk, run.pk)
        chunks.release(claimed, described(error), for_good=False)


def described(error: Exception) -> str:
    """The error as the run's page shows it: what, and where it happened."""
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = f"\n({where[0].filename.rsplit('/', 1)[-1]}:{where[0].lineno} in {where[0].name})" if where else ""
    return f"{type(error).__name__}: {error}{place}"


def store(work: Work, claimed: Claim, computed: object) -> None:
    """Values and the chunk's end in one transaction. Raises ClaimLost, and stores nothing, when the claim is no longer ours."""
    with transaction.atomic():
        chunks.lock(claimed)
        stored = STEPS[work.run.step].store(work, computed)
        if stored.report:
            Run.objects.filter(pk=work.run.pk).update(report=dict(stored.report))
        end(claimed, stored)


def end(claimed: Claim, stored: Stored) -> None:
    """The chunk's last state. Items that failed for now keep the values of the others and bring the chunk back."""
    figures = {"n_values": claimed.chunk.n_values + stored.n_values, "n_missing": stored.n_missing}
    Chunk.objects.filter(pk=claimed.chunk.pk).update(**figures)
    if stored.error:
        chunks.release(claimed, stored.error, for_good=False)
        return
    state = ChunkState.WAITING if stored.waits else ChunkState.DONE
    finished = None if stored.waits else Now()
    Chunk.objects.filter(pk=claimed.chunk.pk).update(state=state, claim=None, lease_until=None, error="", finished_at=finished)


def finish(run_id: int) -> None:
    """End a run whose last chunk is through, and let its recipe go on. Repeating it changes nothing."""
    with transaction.atomic():
        run = Run.objects.select_for_update().get(pk=run_id)
        if run.chunks.filter(state__in=UNFINISHED).exists():
            return
        Run.objects.filter(pk=run_id, finished_at=None, cancelled_at=None).update(finished_at=Now())
    if run.recipe_id:
        advance(run.recipe_id)


def queue_of(run_id: int) -> str:
    return Run.objects.values_list("queue", flat=True).get(pk=run_id)


# What people do with runs


def cancel(run: Run) -> None:
    """Stop claiming. Chunks that are being computed may still store their values; a review's batch is closed."""
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, finished_at=None, cancelled_at=None).update(cancelled_at=Now()):
            close_batch(run)


def cancel_recipe(recipe: Recipe) -> None:
    """Stop the recipe and whatever run of it is open."""
    with transaction.atomic():
        Recipe.objects.select_for_update().filter(pk=recipe.pk, cancelled_at=None).update(cancelled_at=Now())
        for run in Run.objects.filter(recipe=recipe, finished_at=None, cancelled_at=None):
            cancel(run)


def retry_failed(run: Run) -> int:
    """Open a run again for its failed chunks. Returns how many. Raises CannotRun while what kept it from starting stands."""
    with transaction.atomic():
        locked = Run.objects.select_for_update(of=("self",)).select_related("dataset__workspace", "recipe").get(pk=run.pk)
        if locked.cancelled_at:
            raise CannotRun("This run was cancelled; start a new one.")
        if locked.report.get("not_planned"):
            plan_again(locked)
            return locked.chunks.count()
        failed = locked.chunks.filter(state=ChunkState.FAILED)
        n = failed.update(state=ChunkState.PENDING, attempts=0, claim=None, lease_until=None, finished_at=None)
        if n:
            Run.objects.filter(pk=run.pk).update(finished_at=None)
            wake(locked)
    return n


def finish_review(run: Run) -> None:
    """Go on with the answers there are: close the run's batch and end its waiting."""
    with transaction.atomic():
        close_batch(run)
        end_waiting(run.pk)
    finish(run.pk)


def close_batch(run: Run) -> None:
    for batch in ReviewBatch.objects.filter(run=run, closed_at=None):
        selection.close_batch(batch)


def end_waiting(run_id: int) -> int:
    waiting = Chunk.objects.filter(run=run_id, state=ChunkState.WAITING)
    return waiting.update(state=ChunkState.DONE, finished_at=Now())


# What people's answers and the sweep set going


def unanswered(run_id: int) -> bool:
    """Whether a pair of this run's open batch lacks a human answer given since the batch was opened; "cannot judge" is one."""
    items = ReviewItem.objects.filter(batch__run=run_id, batch__closed_at=None).annotate(given=Subquery(answers_given()))
    return items.filter(Q(given=None) | Q(given__lt=F("batch__overlap"))).exists()


def reviews_answered(dataset: Dataset) -> int:
    """End the waiting of review runs whose pairs have all the human answers they want. Returns how many ended."""
    waiting = Chunk.objects.filter(run__dataset=dataset, run__cancelled_at=None, state=ChunkState.WAITING)
    answered = [run for run in waiting.values_list("run", flat=True) if not unanswered(run)]
    for run in answered:
        end_waiting(run)
        finish(run)
    return len(answered)


def unplanned() -> QuerySet[Run]:
    """The finished last run of a recipe (OuterRef) that has steps left. Whether it may go on is for advance() to say."""
    steps = Func(F("recipe__definition__steps"), function="jsonb_array_length", output_field=IntegerField())
    later = Run.objects.filter(recipe=OuterRef("recipe"), step_no__gt=OuterRef("step_no"))
    return Run.objects.filter(~Exists(later), recipe=OuterRef("pk"), finished_at__isnull=False, step_no__lt=steps - 1)


def wake_stalled(queues: list[str] | None = None, *, at_once: bool = False) -> int:
    """Ask again for workers where a message was lost. Returns for how many runs."""
    return wake_forgotten(queues or ["cpu", "gpu"], at_once=at_once)


def sweep(queues: list[str], *, at_once: bool = False) -> None:
    """Mend what a crash between two transactions can leave: an unfinished end, an unplanned step, a lost message."""
    unfinished = Exists(Chunk.objects.filter(run=OuterRef("pk"), state__in=UNFINISHED))
    for run in Run.objects.filter(~unfinished, finished_at=None, cancelled_at=None):
        finish(run.pk)
    for recipe in Recipe.objects.filter(Exists(unplanned()), cancelled_at=None):
        advance(recipe.pk)
    for dataset in Dataset.objects.filter(Exists(Chunk.objects.filter(run__dataset=OuterRef("pk"), state=ChunkState.WAITING))):
        reviews_answered(dataset)
    wake_stalled(queues, at_once=at_once)
