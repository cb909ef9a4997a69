"""Real workers and a real PostgreSQL, killed with SIGKILL in the middle of a run: every value is there afterwards, once."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from curation import runs
from curation.models import Chunk, ChunkState, Judgment, Reward, Run, SignalValue, WorkerBeat
from curation.recipes import Reward as RewardStep
from models_runtime.types import ModelSpec
from tests.builders import make_pair

ROOT = Path(__file__).resolve().parent.parent.parent
PAIRS = 400
SLOW = ModelSpec("scripted", "slow", params={"seconds": 0.01})  # 800 responses: 8 s for one worker

pytestmark = pytest.mark.django_db(transaction=True)


def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Wait for it, through a database that is away for a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if condition():
                return
        except (DatabaseError, InterfaceError):
            connection.close()
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


class Workers:
    """Celery workers as `manage.py up` starts them, on the test's database and with short leases."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.started: list[subprocess.Popen] = []

    def start(self, name: str) -> subprocess.Popen:
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "BROKER_URL": settings.CELERY_BROKER_URL,
            "CONCORD_LEASE_SECONDS": "2",
        }
        command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "gpu", "-P", "solo", "-n", f"{name}@%h"]
        with self.log.open("a") as out:
            worker = subprocess.Popen(
                [*command, "--loglevel", "WARNING"], cwd=ROOT, env=environment, stdout=out, stderr=out, start_new_session=True
            )
        self.started.append(worker)
        return worker

    def kill(self, worker: subprocess.Popen) -> None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10)

    def stop(self) -> None:
        for worker in self.started:
            if worker.poll() is None:
                self.kill(worker)


@pytest.fixture
def workers(tmp_path) -> Iterator[Workers]:
    found = Workers(tmp_path / "workers.log")
    yield found
    found.stop()


def database_url() -> str:
    at = connection.settings_dict
    return f"postgresql://{at['USER']}@/{at['NAME']}?host={quote(str(at['HOST']), safe='')}"


def kill_postgres() -> None:
    """SIGKILL to the server's first process; the supervisor starts it again."""
    pid = int((settings.PATHS.postgres_data / "postmaster.pid").read_text().splitlines()[0])
    os.kill(pid, signal.SIGKILL)


def n_done(run: Run) -> int:
    return run.chunks.filter(state=ChunkState.DONE).count()


def test_values_are_complete_and_single_after_a_worker_and_then_the_database_are_killed(dataset, workers):
    for number in range(PAIRS):
        make_pair(dataset, number)
    run = runs.start_run(dataset, RewardStep(SLOW, chunk_size=20))

    first = workers.start("first")
    until(lambda: n_done(run) >= 3, seconds=20, what="the first worker works")
    workers.kill(first)
    assert run.chunks.filter(state=ChunkState.LEASED).exists(), "the worker died with a chunk in hand"

    workers.start("second")
    before = n_done(run)
    until(lambda: n_done(run) >= before + 3, seconds=20, what="the second worker goes on")
    kill_postgres()
    connection.close()
    until(lambda: Run.objects.filter(pk=run.pk, finished_at__isnull=False).exists(), seconds=40, what="the run is done")

    assert not Chunk.objects.exclude(state=ChunkState.DONE).exists()
    assert Chunk.objects.filter(attempts__gt=1).exists(), "the chunk of the killed worker was taken over"
    assert Reward.objects.count() == 2 * PAIRS
    assert Judgment.objects.values("pair").distinct().count() == Judgment.objects.count() == PAIRS
    assert SignalValue.objects.values("pair").distinct().count() == SignalValue.objects.count() == PAIRS
    run.refresh_from_db()
    assert runs.progress(run).state == "done"


def test_a_worker_says_that_it_lives_stops_cleanly_and_hands_its_run_on(dataset, workers):
    for number in range(100):
        make_pair(dataset, number)
    run = runs.start_run(dataset, RewardStep(SLOW, chunk_size=10))
    worker = workers.start("calm")
    until(lambda: n_done(run) >= 2, seconds=20, what="the worker works")
    beat = WorkerBeat.objects.get()
    assert (beat.name.split("@")[0], beat.queues) == ("calm", ["gpu"])
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(15) == 0
    assert not WorkerBeat.objects.exists()
    assert not run.chunks.filter(state=ChunkState.LEASED).exists(), "the chunk in hand was finished first"
    assert run.chunks.filter(state=ChunkState.PENDING).exists()
