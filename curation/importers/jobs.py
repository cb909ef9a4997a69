"""One file from start to end: claimed with a lease, stored batch by batch, resumed where the last stored batch ended.

The only writer of Import and ImportIssue rows. `lines_done` moves in the transaction that stores the rows, checked against the
claim, so a process killed at any moment loses and doubles nothing.
"""

import datetime
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DataError, IntegrityError, connection, transaction
from django.db.models import Q, QuerySet
from django.db.models.expressions import CombinedExpression
from django.db.models.functions import Now
from django.utils import timezone

from curation.importers.faults import Fault, storable
from curation.importers.files import beginning, drop_upload, file_hash
from curation.importers.load import LOCK_CLASS, Line, Outcome, load
from curation.importers.reading import Read, read
from curation.importers.shapes import SHAPES, Parsed, detect, parse
from curation.models import Dataset, Import, ImportIssue, User

BATCH_ROWS = 2_000
BATCH_BYTES = 32 * 1024 * 1024  # of lines, unpacked
LEASE_SECONDS = 20
RENEW_SECONDS = 5
MAX_ISSUES = 100_000
MOST_STALLED = 8  # woken for in one sweep
OPEN = (Import.State.WAITING, Import.State.RUNNING)
TABLES = "curation_prompt, curation_response, curation_pair, curation_judge, curation_judgment"


class Lost(Exception):
    """The import was cancelled, or its claim went to another process; the batch was not stored."""


@dataclass(frozen=True)
class Progress:
    state: str
    share: float  # 0..1, of the bytes of the file
    rows: int  # new, known and bad ones
    seconds_left: float | None
    waiting_for_worker: bool


# Starting


def start_import(dataset: Dataset, path: Path, *, file_name: str, shape: str = "auto", user: User | None = None) -> Import:
    """The import of this file into this dataset: the open one of the same bytes where there is one, else a new one.

    `path` must stay readable until the import is done. Raises OSError when the file cannot be read, ValueError for an
    unknown shape.
    """
    if shape != "auto" and shape not in SHAPES:
        raise ValueError(f"Unknown format {shape!r}. Known: auto, {', '.join(SHAPES)}.")
    path = Path(path).resolve()
    digest, size = file_hash(path)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, dataset.pk])
        same = Import.objects.filter(dataset=dataset, file_hash=digest, state__in=OPEN)
        found = (same if shape == "auto" else same.filter(shape=shape)).order_by("id").first()
        if found is None:
            name = storable(Path(file_name).name)[:255] or "file"
            return Import.objects.create(
                dataset=dataset, file_name=name, path=str(path), file_hash=digest, file_bytes=size, shape=shape, created_by=user
            )
        if not Path(found.path).exists():
            Import.objects.filter(pk=found.pk).update(path=str(path))
        return found


# Running


def resume(import_id: int, *, seconds: float | None = None, watch: Callable[[Import], None] | None = None) -> bool:
    """Work on the import until it ends or `seconds` are over. Returns whether there is more to do for the caller.

    `watch` is called after each batch. Any number of processes may call this; one works, the others get False at once.
    """
    claimed = claim(import_id)
    if claimed is None:
        return False
    until = time.monotonic() + seconds if seconds is not None else None
    try:
        return not work(claimed, until, watch)
    except Lost:
        return False
    finally:
        mine(claimed).update(claim=None, lease_until=None)


def claim(import_id: int) -> Import | None:
    free = Import.objects.filter(Q(lease_until=None) | Q(lease_until__lt=Now()), pk=import_id, state__in=OPEN)
    token = uuid.uuid4()
    if not free.update(claim=token, lease_until=leased(), state=Import.State.RUNNING):
        return None
    return Import.objects.select_related("dataset__workspace").get(pk=import_id)


def leased() -> CombinedExpression:
    return Now() + datetime.timedelta(seconds=LEASE_SECONDS)


def mine(claimed: Import) -> QuerySet[Import]:
    return Import.objects.filter(pk=claimed.pk, claim=claimed.claim, state=Import.State.RUNNING)


def work(claimed: Import, until: float | None, watch: Callable[[Import], None] | None) -> bool:
    """Returns whether the import has come to its end."""
    if claimed.shape == "auto" and not settle_shape(claimed):
        return True
    room = MAX_ISSUES - claimed.issues.count()
    renewed, last = time.monotonic(), None
    for lines, ended, offset in batches(read(Path(claimed.path), after_line=claimed.lines_done), claimed.shape):
        if lines or ended:
            room -= store(claimed, lines, ended, offset, room)
            renewed, last = time.monotonic(), ended
            if watch is not None:
                watch(claimed)
        elif time.monotonic() - renewed > RENEW_SECONDS:
            if not mine(claimed).update(lease_until=leased()):
                raise Lost
            renewed = time.monotonic()
        if until is not None and time.monotonic() > until:
            return False
    finish(claimed, last)
    return True


def settle_shape(claimed: Import) -> bool:
    """Tells the shape from the first rows and stores it. False: there is none, and the import has failed."""
    rows, faults = beginning(Path(claimed.path))
    shape = detect(rows)
    if shape is None:
        fail(claimed, unknown_shape(rows, faults))
        return False
    claimed.shape = shape
    mine(claimed).update(shape=shape)
    return True


def unknown_shape(rows: list[dict[str, Any]], faults: list[Fault]) -> Fault:
    if not rows and faults and faults[0].effect == "file":
        return faults[0]
    if not rows and faults:
        return Fault("shape_unknown", f"No line could be read. The first fault: {faults[0].reason}")
    keys = ", ".join(sorted(str(key)[:40] for key in rows[0])[:12]) if rows else "none"
    wanted = "chosen and rejected; prompt, response_a and response_b; or pair_id, judge_model and verdict"
    return Fault("shape_unknown", f"No known shape: a row needs {wanted}. The first row's fields: {keys}.")


Batch = tuple[list[Line], Fault | None, int]


def batches(found: Iterable[Read], shape: str) -> Iterator[Batch]:
    """(rows, the fault that ended the file if one did, bytes used up). An empty batch is a sign of life."""
    lines: list[Line] = []
    size = offset = 0
    for one in found:
        offset = one.offset
        if one.fault is not None and one.fault.effect == "file":
            yield lines, one.fault, offset
            return
        if one.row is None and one.fault is None:
            yield [], None, offset
            continue
        parsed = Parsed(None, [one.fault]) if one.fault is not None else parse(shape, one.row)
        lines.append(Line(one.line, parsed))
        size += one.size
        if len(lines) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield lines, None, offset
            lines, size = [], 0
    if lines:
        yield lines, None, offset


def store(claimed: Import, lines: list[Line], ended: Fault | None, offset: int, room: int) -> int:
    """One batch and the mark that it is done, in one transaction. Returns how many issues were stored. Raises Lost.

    What the database refuses although it passed every check is found by halving: one bad row must not stop the others.
    """
    try:
        with transaction.atomic():
            outcome = load(claimed.dataset, claimed.pk, lines)
            if ended is not None:
                outcome.issues.append((lines[-1].number + 1 if lines else claimed.lines_done + 1, "", ended))
            stored = store_issues(claimed, outcome, room)
            advance(claimed, lines, outcome, ended, offset)
            return stored
    except (DataError, IntegrityError) as error:
        if not lines:
            raise
        if len(lines) == 1:
            reason = f"The database refused the row: {str(error).splitlines()[0]}"
            refused = Line(lines[0].number, Parsed(None, [Fault("row_refused", reason)], lines[0].parsed.external_id))
            return store(claimed, [refused], ended, offset, room)
    half = len(lines) // 2
    first = store(claimed, lines[:half], None, claimed.bytes_done, room)
    return first + store(claimed, lines[half:], ended, offset, room - first)


def store_issues(claimed: Import, outcome: Outcome, room: int) -> int:
    issues = outcome.issues[: max(room, 0)]
    if len(issues) < len(outcome.issues) and room > 0:
        reason = f"More than {MAX_ISSUES} things were found; those after this line are counted but not listed."
        issues[-1] = (issues[-1][0], "", Fault("issues_cut", reason))
    ImportIssue.objects.bulk_create(
        (
            ImportIssue(
                imported=claimed, line=line, field=storable(fault.field)[:100], code=fault.code,
                reason=storable(fault.reason)[:1000],
                excerpt=fault.excerpt[:300], external_id=storable(name)[:200], fatal=fault.fatal,
            )
            for line, name, fault in issues
        ),
        batch_size=1000,
    )  # fmt: skip
    return len(issues)


def advance(claimed: Import, lines: list[Line], outcome: Outcome, ended: Fault | None, offset: int) -> None:
    """Moves the mark, in the row and then in `claimed`. Raises Lost."""
    moved = {
        "lines_done": lines[-1].number if lines else claimed.lines_done,
        "bytes_done": offset,
        "rows_new": claimed.rows_new + outcome.rows_new,
        "rows_known": claimed.rows_known + outcome.rows_known,
        "rows_bad": claimed.rows_bad + outcome.rows_bad,
        "error": storable(ended.reason) if ended is not None else claimed.error,
    }
    if not mine(claimed).update(lease_until=leased(), **moved):
        raise Lost
    for name, value in moved.items():
        setattr(claimed, name, value)


def finish(claimed: Import, ended: Fault | None) -> None:
    """The end of the file. It failed when a fault ended it before any row was found good, or when the file itself is gone."""
    good = claimed.rows_new + claimed.rows_known
    failed = ended is not None and (not good or ended.code == "file_unreadable")
    if claimed.rows_new:
        with connection.cursor() as cursor:
            # Without fresh statistics the first queries after a bulk load scan whole tables.
            cursor.execute(f"ANALYZE {TABLES}")
    state = Import.State.FAILED if failed else Import.State.DONE
    if mine(claimed).update(state=state, finished_at=Now(), bytes_done=claimed.file_bytes):
        drop_upload(claimed.path)


def fail(claimed: Import, fault: Fault) -> None:
    with transaction.atomic():
        if mine(claimed).update(state=Import.State.FAILED, finished_at=Now(), error=storable(fault.reason)):
            store_issues(claimed, Outcome(issues=[(1, "", fault)]), MAX_ISSUES)
    drop_upload(claimed.path)


# Watching and stopping


def cancel(imported: Import) -> bool:
    """Stops the import; rows already stored stay. Returns whether it was still open."""
    stopped = Import.objects.filter(pk=imported.pk, state__in=OPEN).update(
        state=Import.State.CANCELLED, finished_at=Now(), claim=None, lease_until=None
    )
    if stopped:
        drop_upload(imported.path)
    return bool(stopped)


def is_open(import_id: int) -> bool:
    return Import.objects.filter(pk=import_id, state__in=OPEN).exists()


def progress(imported: Import) -> Progress:
    """How far it is; seconds_left by the speed so far."""
    share = min(imported.bytes_done / imported.file_bytes, 1.0) if imported.file_bytes else 0.0
    now = timezone.now()
    running = imported.state == Import.State.RUNNING
    spent = (now - imported.created_at).total_seconds()
    left = spent * (1 - share) / share if running and share > 0.01 else None
    unclaimed = imported.lease_until is None or imported.lease_until < now
    waiting = imported.state in OPEN and unclaimed and spent > 10
    rows = imported.rows_new + imported.rows_known + imported.rows_bad
    return Progress(imported.state, 1.0 if imported.state == Import.State.DONE else share, rows, left, waiting)


def stalled() -> list[int]:
    """Imports of stored uploads that nobody works on: a worker must be woken for them. A command's files are its own."""
    free = Q(lease_until=None) | Q(lease_until__lt=Now())
    folder = f"{settings.PATHS.uploads.resolve()}/"
    waiting = Import.objects.filter(free, state__in=OPEN, path__startswith=folder).order_by("id")
    return list(waiting.values_list("pk", flat=True)[:MOST_STALLED])
