"""What a worker does beside its tasks: it says that it is alive, and sweeps up what crashes and lost messages left behind.

One daemon thread per worker process (the parent of a prefork pool). The only writer of WorkerBeat.
"""

import logging
import os
import threading

from celery import Celery
from celery.signals import worker_ready, worker_shutdown, worker_shutting_down
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from curation import importers, runs, stopping
from curation.models import Import, WorkerBeat
from curation.waking import wake_import

logger = logging.getLogger(__name__)

EVERY = 5  # seconds between beats and sweeps


class Heartbeat:
    """Beats and sweeps until stopped. A database that is away costs a beat, never the thread."""

    def __init__(self, name: str, queues: list[str]) -> None:
        self.name, self.queues = name, queues
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.run, name="heartbeat", daemon=True)

    def start(self) -> None:
        self.thread.start()

    def run(self) -> None:
        first = True
        while True:
            first = not self.once(first=first) and first
            if self.stopped.wait(EVERY):
                return

    def once(self, *, first: bool) -> bool:
        """One beat and one sweep on a connection of their own; False when the database did not answer."""
        try:
            beat(self.name, self.queues)
            sweep(self.queues, first=first)
            return True
        except (DatabaseError, InterfaceError) as error:
            logger.warning("The database is away: %s", error)
            return False
        except Exception:  # one bad row must not silence this worker
            logger.exception("The sweep failed")
            return False
        finally:
            connection.close()

    def stop(self) -> None:
        """End the thread and take the worker's row away, if the database lets us."""
        self.stopped.set()
        self.thread.join(timeout=EVERY)
        try:
            WorkerBeat.objects.filter(name=self.name).delete()
        except (DatabaseError, InterfaceError):
            logger.warning("The row of worker %s stays; it counts as gone when it is no longer renewed.", self.name)
        finally:
            connection.close()


def beat(name: str, queues: list[str]) -> None:
    values = {"queues": queues, "pid": os.getpid(), "seen_at": Now()}
    WorkerBeat.objects.update_or_create(name=name, defaults=values)


def sweep(queues: list[str], *, first: bool) -> None:
    """Runs, reviews and imports that would wait for ever. first: this worker may be the one they wait for."""
    runs.sweep(queues, at_once=first)
    if "cpu" in queues:
        for job in Import.objects.filter(pk__in=importers.stalled()):
            wake_import(job)


_heartbeat: Heartbeat | None = None


@worker_ready.connect
def on_ready(sender: object, **kwargs: object) -> None:
    global _heartbeat
    stopping.reset()
    app: Celery = sender.app  # type: ignore[attr-defined]
    _heartbeat = Heartbeat(sender.hostname, sorted(app.amqp.queues.consume_from))  # type: ignore[attr-defined]
    _heartbeat.start()


@worker_shutting_down.connect
def on_shutting_down(**kwargs: object) -> None:
    stopping.ask()


@worker_shutdown.connect
def on_shutdown(**kwargs: object) -> None:
    if _heartbeat is not None:
        _heartbeat.stop()
