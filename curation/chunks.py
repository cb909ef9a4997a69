"""Claiming, keeping and finishing chunks: conditional writes with leases. Part of the only writer of runs (curation/runs.py).

Every clock is the database's, so workers on several machines need not agree on the time.
"""

import logging
import os
import socket
import threading
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Q

from curation.models import Chunk, ChunkState, Run

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
RETRY_AFTER = 2  # seconds; doubled with every attempt

CLAIM = """
UPDATE curation_chunk SET state = 'leased', claim = %(claim)s, attempts = attempts + 1, worker = %(worker)s,
    started_at = clock_timestamp(), lease_until = clock_timestamp() + make_interval(secs => %(lease)s)
WHERE id = coalesce(
    (SELECT waits.id FROM curation_chunk waits WHERE waits.run_id = %(run)s AND waits.state = 'pending'
         AND (waits.lease_until IS NULL OR waits.lease_until < clock_timestamp())
     ORDER BY waits.id LIMIT 1 FOR UPDATE SKIP LOCKED),
    (SELECT orphan.id FROM curation_chunk orphan WHERE orphan.run_id = %(run)s AND orphan.state = 'leased'
         AND orphan.lease_until < clock_timestamp()
     ORDER BY orphan.id LIMIT 1 FOR UPDATE SKIP LOCKED))
AND EXISTS (SELECT 1 FROM curation_run run WHERE run.id = %(run)s AND run.cancelled_at IS NULL AND run.finished_at IS NULL)
RETURNING id
"""

GIVE_UP = """
UPDATE curation_chunk SET state = 'failed', claim = NULL, lease_until = NULL, finished_at = clock_timestamp(),
    error = 'The worker stopped without a word ' || attempts || ' times while it computed this chunk (out of memory?).'
    || CASE WHEN error = '' THEN '' ELSE E'\n' || error END
WHERE run_id = %s AND state = 'leased' AND lease_until < clock_timestamp() AND attempts >= %s
"""

RENEW = """
UPDATE curation_chunk SET lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE id = %s AND claim = %s AND state = 'leased'
"""

RELEASE = """
UPDATE curation_chunk SET state = %s, error = %s, claim = NULL, finished_at = CASE WHEN %s = 'failed' THEN clock_timestamp() END,
    lease_until = CASE WHEN %s = 'pending' THEN clock_timestamp() + make_interval(secs => %s) END
WHERE id = %s AND claim = %s AND state = 'leased'
"""


def claimable(now: datetime) -> Q:
    """Chunks that CLAIM would hand out: those that wait, and those whose worker let its lease run out."""
    expired = Q(lease_until__lt=now)
    return Q(state=ChunkState.PENDING) & (Q(lease_until=None) | expired) | Q(state=ChunkState.LEASED) & expired


def held(now: datetime) -> Q:
    """Chunks that a worker computes now."""
    return Q(state=ChunkState.LEASED, lease_until__gte=now)


class ClaimLost(Exception):
    """Another worker holds this chunk now, because the lease ran out; what was computed here is thrown away."""


@dataclass(frozen=True)
class Claim:
    """The right to compute one chunk, until the lease runs out."""

    id: UUID
    chunk: Chunk


def worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def claim(run: Run) -> Claim | None:
    """The next chunk of a run that is open: one that waits, else one whose worker's lease ran out. None: nothing to do now."""
    token = uuid4()
    values = {"claim": token, "worker": worker_name()[:200], "run": run.pk, "lease": settings.LEASE_SECONDS}
    with connection.cursor() as cursor:
        cursor.execute(GIVE_UP, [run.pk, MOST_ATTEMPTS])
        cursor.execute(CLAIM, values)
        row = cursor.fetchone()
    return Claim(token, Chunk.objects.get(pk=row[0])) if row else None


def lock(claimed: Claim) -> Chunk:
    """The chunk, locked for the rest of the transaction. Raises ClaimLost when it is no longer ours."""
    chunk = Chunk.objects.select_for_update().filter(pk=claimed.chunk.pk, claim=claimed.id, state=ChunkState.LEASED).first()
    if chunk is None:
        raise ClaimLost
    return chunk


def release(claimed: Claim, error: str, *, for_good: bool) -> None:
    """Give a chunk back after an error; `for_good`, or after the last attempt, it counts as failed."""
    failed = for_good or claimed.chunk.attempts >= MOST_ATTEMPTS
    state = ChunkState.FAILED if failed else ChunkState.PENDING
    wait = RETRY_AFTER * 2 ** (claimed.chunk.attempts - 1)
    # PostgreSQL's text cannot hold NUL, and messages of other people's libraries may.
    text = error.replace("\0", "")[:4000]
    with connection.cursor() as cursor:
        cursor.execute(RELEASE, [state, text, state, state, wait, claimed.chunk.pk, claimed.id])


class Lease:
    """`with Lease(claim):` renews the lease from a thread of its own, so that a slow model keeps its chunk.

    A frozen or killed process renews nothing, and its chunk goes to another worker when the lease runs out.
    """

    def __init__(self, claimed: Claim) -> None:
        self.claimed = claimed
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        self.thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.done.set()
        self.thread.join()

    def renew(self) -> None:
        """Every third of a lease, on a connection of this thread's own; a database that is away is tried again next time."""
        every = settings.LEASE_SECONDS / 3
        while not self.done.wait(every):
            try:
                with connection.cursor() as cursor:
                    cursor.execute(RENEW, [settings.LEASE_SECONDS, self.claimed.chunk.pk, self.claimed.id])
            except (DatabaseError, InterfaceError) as error:
                logger.warning("The lease of chunk %s was not renewed: %s", self.claimed.chunk.pk, error)
            finally:
                connection.close()
