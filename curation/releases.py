"""The only writer of releases: immutable versions of a dataset that can be rebuilt from the ledger, and checked against it."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import zip_longest

from django.db import OperationalError, connection, transaction
from django.db.models import Max

from curation import code, release_facts
from curation.card import CAUSES
from curation.exporters import SCHEMA_VERSION, ContentHash, row_hash
from curation.models import Dataset, Decision, Judgment, Release, ReleaseRow, User
from curation.release_files import cut_rows_of, export, exported, first_fault, rows_of
from curation.release_rows import CutRow, CutSettings, Preview, ReleaseError, preview, stream

__all__ = ["CutSettings", "ReleaseError", "Verification", "cut", "cut_if_changed", "export", "preview", "verify"]

ROWS_PER_INSERT = 1000
PROBLEMS_SHOWN = 20
WATERMARK_WAIT = "10s"


class _Unchanged(Exception):
    """Rolls back a cut whose rows are those of the release before it."""


def cut(
    dataset: Dataset,
    *,
    user: User | None = None,
    pools: tuple[str, ...] = ("gold", "silver"),
    tie_policy: str = "drop",
    notes: str = "",
    min_margin: float = 0.0,
    test_share: float = 0.0,
    force: bool = False,
) -> Release:
    """cut_if_changed() for callers who do not ask whether the release is new."""
    settings = CutSettings(pools, tie_policy, min_margin, test_share)
    return cut_if_changed(dataset, settings, user=user, notes=notes, force=force)[0]


def cut_if_changed(
    dataset: Dataset, settings: CutSettings, *, user: User | None = None, notes: str = "", force: bool = False
) -> tuple[Release, bool]:
    """(release, whether it is new). Without `force`, rows that are those of the latest release give that release back.

    Raises ReleaseError when there is nothing to release, or when somebody else is cutting this dataset right now. The
    label in force is that of each pair's latest decision; docs/releases.md says what becomes of ties and splits.
    """
    with _alone(dataset):
        watermark = _settled_decisions(dataset)
        try:
            with transaction.atomic(durable=True):
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                return _cut(dataset, settings, watermark=watermark, user=user, notes=notes, force=force), True
        except _Unchanged:
            return Release.objects.filter(dataset=dataset).latest("version"), False


@contextmanager
def _alone(dataset: Dataset) -> Iterator[None]:
    """One cut of a dataset at a time: a second would take the same version number."""
    key = int.from_bytes(hashlib.sha256(f"release {dataset.pk}".encode()).digest()[:8], "big", signed=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [key])
        if not cursor.fetchone()[0]:
            raise ReleaseError("A release of this dataset is being cut right now. Look at the list of releases in a moment.")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [key])


def _settled_decisions(dataset: Dataset) -> int:
    """The highest decision id below which nothing can appear any more.

    Ids are given out before their transactions commit, so the highest id one can see says nothing about lower ones. The lock
    waits for every writer under way and is let go at once.
    """
    try:
        with transaction.atomic(durable=True), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = '{WATERMARK_WAIT}'")
            cursor.execute("LOCK TABLE curation_decision IN SHARE MODE")
            return Decision.objects.filter(dataset=dataset).aggregate(last=Max("id"))["last"] or 0
    except OperationalError as error:
        raise ReleaseError("Decisions are being written without a pause. Wait for the run to finish, then cut again.") from error


@dataclass
class _Written:
    """What went into the rows of a release while they were written."""

    digest: ContentHash = field(default_factory=ContentHash)
    n_rows: int = 0
    tally: release_facts.Tally = field(default_factory=release_facts.new_tally)
    not_text: Counter[str] = field(default_factory=Counter)  # pairs left out for their messages, by pool


def _cut(dataset: Dataset, settings: CutSettings, *, watermark: int, user: User | None, notes: str, force: bool) -> Release:
    parent = Release.objects.filter(dataset=dataset).order_by("-version").first()
    seen = preview(dataset, settings, watermark=watermark)
    if not seen.n_released:
        raise ReleaseError(_nothing(seen))
    release_id = _next_id()
    written = _write_rows(release_id, stream(dataset, settings, watermark=watermark))
    if not written.n_rows:
        raise ReleaseError("Nothing to release: every pair holds messages with more than a role and a text.")
    if parent is not None and parent.content_hash == written.digest.value and not force:
        raise _Unchanged
    version = parent.version + 1 if parent else 1
    manifest = {
        "schema": SCHEMA_VERSION,
        "workspace": dataset.workspace.slug,
        "dataset": dataset.slug,
        "version": version,
        "content_hash": written.digest.value,
        "parent": {"version": parent.version, "content_hash": parent.content_hash} if parent else None,
        "settings": settings.as_json(),
        "watermarks": {"decision": watermark, "judgment": _last_judgment(dataset)},
        "code_version": code.version(),
        "stated": {
            "title": dataset.name,
            "description": dataset.description,
            "source": dataset.source,
            "licence": dataset.licence,
        },
        **release_facts.facts(
            dataset, release_id=release_id, parent=parent, preview=seen, tally=written.tally, not_text=written.not_text
        ),
    }
    return Release.objects.create(
        id=release_id, dataset=dataset, version=version, parent=parent, content_hash=written.digest.value,
        manifest=manifest, notes=notes, n_rows=written.n_rows, created_by=user,
    )  # fmt: skip


def _next_id() -> int:
    """Rows are written before their release, whose content hash is known last; the foreign key is checked at commit."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence('curation_release', 'id'))")
        return int(cursor.fetchone()[0])


def _last_judgment(dataset: Dataset) -> int:
    return Judgment.objects.filter(dataset=dataset).aggregate(last=Max("id"))["last"] or 0


def _nothing(seen: Preview) -> str:
    causes = ", ".join(f"{n} {CAUSES[cause]}" for cause, n in seen.causes.items())
    return (
        f"Nothing to release: of {seen.n_pairs} pairs, {causes}."
        if seen.n_pairs
        else "Nothing to release: the dataset has no pairs."
    )


def _write_rows(release_id: int, rows: Iterator[CutRow]) -> _Written:
    written = _Written()
    waiting: list[ReleaseRow] = []
    last_pair = None
    for cut_row in rows:
        first, last_pair = cut_row.pair_id != last_pair, cut_row.pair_id
        if cut_row.row is None:
            written.not_text[cut_row.pool] += first
            continue
        waiting.append(_stored(release_id, written.n_rows, cut_row))
        written.digest.add(bytes(waiting[-1].row_hash))
        written.n_rows += 1
        release_facts.count(written.tally, cut_row.row, chosen=cut_row.chosen, first=first)
        if len(waiting) == ROWS_PER_INSERT:
            ReleaseRow.objects.bulk_create(waiting)
            waiting = []
    ReleaseRow.objects.bulk_create(waiting)
    return written


def _stored(release_id: int, position: int, cut_row: CutRow) -> ReleaseRow:
    assert cut_row.row is not None  # noqa: S101 - rows without text were left out
    return ReleaseRow(
        release_id=release_id, position=position, pair_id=cut_row.pair_id, chosen=cut_row.chosen, margin=cut_row.row.margin,
        split=cut_row.row.split, decision_id=cut_row.decision_id, row_hash=row_hash(cut_row.row),
    )  # fmt: skip


@dataclass(frozen=True)
class Verification:
    """problems: at most 20, each naming a row; empty when the release is what it was."""

    rows_checked: int
    folders_checked: int
    problems: list[str]

    @property
    def ok(self) -> bool:
        return not self.problems


def verify(release: Release) -> Verification:
    """Rebuilds the release from the ledger; compares it, row by row, with what was stored and with the files exported so far."""
    problems: list[str] = []
    rebuilt, stored = ContentHash(), ContentHash()
    checked = 0
    with transaction.atomic():
        now = cut_rows_of(release)
        then = release.rows.select_related("pair").order_by("position").iterator(chunk_size=ROWS_PER_INSERT)
        for ours, kept in zip_longest(now, then):
            checked += 1
            fault = _fault(ours, kept)
            if ours is not None and ours.row is not None:
                rebuilt.add(row_hash(ours.row))
            if kept is not None:
                stored.add(bytes(kept.row_hash))
            if fault and len(problems) < PROBLEMS_SHOWN:
                problems.append(fault)
        problems += _hash_faults(release, rebuilt.value, stored.value)
    files = 0
    for found in exported(release):
        files += 1
        with transaction.atomic():
            fault = first_fault(found, rows_of(release), release)
        if fault:
            problems.append(fault)
    return Verification(checked, files, problems[:PROBLEMS_SHOWN])


def _fault(ours: CutRow | None, kept: ReleaseRow | None) -> str:
    if kept is None:
        return f"the ledger gives a row that the release does not have: {ours.row.id!r}" if ours and ours.row else ""
    where = f"row {kept.position + 1} (pair {kept.pair.external_id!r})"
    if ours is None or ours.row is None:
        return f"{where} is in the release, but the ledger no longer gives it"
    if ours.pair_id != kept.pair_id:
        return f"{where}: the ledger gives pair {ours.row.id!r} in its place"
    if (ours.chosen, ours.row.margin, ours.row.split, ours.decision_id) != (
        kept.chosen,
        kept.margin,
        kept.split,
        kept.decision_id,
    ):
        return f"{where}: the ledger gives another label, split or decision"
    if row_hash(ours.row) != bytes(kept.row_hash):
        return f"{where}: its texts or its provenance are not those that were released"
    return ""


def _hash_faults(release: Release, rebuilt: str, stored: str) -> list[str]:
    faults = []
    if stored != release.content_hash:
        faults.append(f"the stored rows hash to {stored}, the release says {release.content_hash}")
    if rebuilt != release.content_hash:
        faults.append(f"rebuilt from the ledger, the rows hash to {rebuilt}, the release says {release.content_hash}")
    return faults
