"""What the broker can ask of a worker. Each takes an id; what is to be done stands in the database."""

from celery import shared_task

from curation import importers, runs
from curation.waking import send

TURN_SECONDS = 60  # then others get their turn; well below the broker's visibility timeout, or a turn would be handed out twice


@shared_task
def drain_run(run_id: int) -> None:
    if runs.drain(run_id, seconds=TURN_SECONDS):
        send("curation.tasks.drain_run", run_id, runs.queue_of(run_id), 1)


@shared_task
def import_file(import_id: int) -> None:
    if importers.resume(import_id, seconds=TURN_SECONDS):
        send("curation.tasks.import_file", import_id, "cpu", 1)
