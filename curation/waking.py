"""Asking the broker to wake workers. Losing such a message loses nothing: the workers' sweep sends it again."""

import logging

from celery import current_app
from django.db import connection, transaction
from django.db.models.functions import Now
from kombu.exceptions import KombuError

from curation.models import Chunk, ChunkState, Import, Run

logger = logging.getLogger(__name__)

MOST_MESSAGES = 8  # workers asked for at once; those that find nothing to do are back in milliseconds
FORGOTTEN_AFTER = 5  # seconds without anybody at work after which a run is asked for again
FORGOTTEN_AT_MOST = 60  # the same while the queue's workers are busy with other runs: messages must not pile up
# kombu's default takes seven seconds, and waits for ever for a broker that takes connections and says nothing.
ONE_TRY = {"max_retries": 1, "interval_start": 0, "interval_step": 0, "interval_max": 0, "socket_timeout": 3}

# Open runs of these queues that have something to claim and nobody at work, and that were not asked for lately. A queue none
# of whose runs is worked on has idle workers, so a run that waits there has lost its message.
FORGOTTEN = """
SELECT run.id FROM curation_run run
WHERE run.finished_at IS NULL AND run.cancelled_at IS NULL AND run.queue = ANY(%(queues)s)
  AND EXISTS (SELECT 1 FROM curation_chunk chunk WHERE chunk.run_id = run.id AND (
      chunk.state = 'pending' AND (chunk.lease_until IS NULL OR chunk.lease_until < clock_timestamp())
      OR chunk.state = 'leased' AND chunk.lease_until < clock_timestamp()))
  AND NOT EXISTS (SELECT 1 FROM curation_chunk held WHERE held.run_id = run.id AND held.state = 'leased'
      AND held.lease_until >= clock_timestamp())
  AND (%(at_once)s OR run.woken_at IS NULL OR run.woken_at < clock_timestamp() - make_interval(secs => CASE WHEN EXISTS (
      SELECT 1 FROM curation_run other JOIN curation_chunk busy ON busy.run_id = other.id
      WHERE other.finished_at IS NULL AND other.cancelled_at IS NULL AND other.queue = run.queue AND busy.state = 'leased'
        AND busy.lease_until >= clock_timestamp()) THEN %(busy)s ELSE %(idle)s END))
"""


def wake(run: Run) -> None:
    """Ask for workers once the transaction at hand is committed. A broker that is away is logged, never raised."""
    waiting = Chunk.objects.filter(run=run, state=ChunkState.PENDING)[:MOST_MESSAGES].count()
    send_later(run.pk, run.queue, max(1, waiting))


def wake_forgotten(queues: list[str], *, at_once: bool = False) -> int:
    """Ask again for runs of these queues whose message was lost. Returns how many. at_once: whenever they were last asked for."""
    values = {"queues": queues, "at_once": at_once, "busy": FORGOTTEN_AT_MOST, "idle": FORGOTTEN_AFTER}
    with connection.cursor() as cursor:
        cursor.execute(FORGOTTEN, values)
        ids = [row[0] for row in cursor.fetchall()]
    for run in Run.objects.filter(pk__in=ids):
        wake(run)
    return len(ids)


def send_later(run_id: int, queue: str, messages: int) -> None:
    Run.objects.filter(pk=run_id).update(woken_at=Now())
    transaction.on_commit(lambda: send("curation.tasks.drain_run", run_id, queue, messages))


def wake_import(job: Import) -> None:
    """Ask for a worker that reads this file, as wake() does for a run."""
    transaction.on_commit(lambda: send("curation.tasks.import_file", job.pk, "cpu", 1))


def send(task: str, argument: int, queue: str, messages: int) -> None:
    """Put messages on the broker; one that is away is given up after one try, so that no page waits for it."""
    try:
        with current_app.connection_for_write(transport_options=ONE_TRY) as connected:
            for _ in range(messages):
                current_app.send_task(task, (argument,), queue=queue, retry=False, connection=connected)
    except (KombuError, OSError) as error:
        logger.warning("The broker is away (%s); a worker's sweep will find %s(%s).", error, task, argument)
