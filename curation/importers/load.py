"""One batch of parsed rows into PostgreSQL, in one transaction, by COPY.

Imports of one dataset take turns by an advisory lock held for one batch, so ids can be drawn and rows compared in Python
before they are copied; the unique constraints stand behind it. Whatever is already there is found by key, so repeating a
batch writes nothing.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection
from django.utils import timezone

from curation import judgments
from curation.importers.faults import Fault, shown
from curation.importers.messages import Messages, text_of
from curation.importers.opinions import Opinion
from curation.importers.shapes import PairRow, Parsed, VerdictRow
from curation.models import Dataset
from models_runtime.hashing import canonical_json

LOCK_CLASS = 1_228_949_842  # first key of the advisory locks, told apart from other users' ones; the second is the dataset


@dataclass(slots=True)
class Text:
    """A conversation ready to be stored."""

    hash: bytes
    json: str
    n_chars: int


@dataclass(slots=True)
class Line:
    """One row on its way in. pair_id is known once the pair is stored or found."""

    number: int
    parsed: Parsed
    pair_id: int | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a batch. issues: (line, external_id, fault)."""

    rows_new: int = 0
    rows_known: int = 0
    rows_bad: int = 0
    issues: list[tuple[int, str, Fault]] = field(default_factory=list)

    def note(self, line: Line, fault: Fault) -> None:
        self.issues.append((line.number, line.parsed.external_id, fault))


@dataclass(frozen=True, slots=True)
class StoredPair:
    pk: int
    row_hash: bytes
    imported_id: int | None


def load(dataset: Dataset, import_id: int, lines: Sequence[Line]) -> Outcome:
    """Writes what is new among the lines. The caller holds the transaction. Raises django.db errors, those of COPY too."""
    outcome = Outcome()
    with connection.wrap_database_errors, connection.cursor() as cursor:
        # Plans must not turn to whole-table scans while a table grows faster than its statistics.
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off")
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_CLASS, dataset.pk])
        pairs, verdicts = [], []
        for line in lines:
            for fault in line.parsed.faults:
                outcome.note(line, fault)
            if isinstance(line.parsed.row, PairRow):
                pairs.append(line)
            elif isinstance(line.parsed.row, VerdictRow):
                verdicts.append(line)
            else:
                outcome.rows_bad += 1
        load_pairs(cursor, dataset, import_id, pairs, outcome)
        load_verdicts(cursor, dataset, import_id, verdicts, outcome)
    return outcome


# Pairs


def load_pairs(cursor: Any, dataset: Dataset, import_id: int, lines: list[Line], outcome: Outcome) -> None:
    if not lines:
        return
    prepared = [Prepared(line) for line in lines]
    stored = stored_pairs(cursor, dataset, [one.external_id for one in prepared])
    fresh: dict[str, Prepared] = {}
    settled: list[Prepared] = []
    for one in prepared:
        known = stored.get(one.external_id)
        twin = fresh.get(one.external_id)
        if known is None and twin is None:
            fresh[one.external_id] = one
        elif (known.row_hash if known else twin.row_hash) != one.row_hash:
            outcome.rows_bad += 1
            outcome.note(
                one.line, Fault("row_changed", "A row with this id and other content is already there; that one stands.", "id")
            )
            continue
        else:
            outcome.rows_known += 1
            if twin is not None or known.imported_id == import_id:
                outcome.note(one.line, Fault("row_repeated", "The same row stands earlier in this file.", "id"))
        settled.append(one)
    store_pairs(cursor, dataset, import_id, list(fresh.values()))
    outcome.rows_new += len(fresh)
    for one in settled:
        known = stored.get(one.external_id)
        one.line.pair_id = known.pk if known else fresh[one.external_id].line.pair_id
    old = {known.pk for known in stored.values()}
    load_opinions(cursor, dataset, import_id, [one.line for one in settled], old, outcome)


class Prepared:
    """A pair row with its hashes."""

    __slots__ = ("content_key", "external_id", "line", "metadata", "prompt", "response_a", "response_b", "row_hash")

    def __init__(self, line: Line) -> None:
        row = line.parsed.row
        self.line = line
        self.prompt, self.response_a, self.response_b = (ready(part) for part in (row.prompt, row.response_a, row.response_b))
        self.metadata = canonical_json(row.metadata)
        prompt, a, b = self.prompt.hash, self.response_a.hash, self.response_b.hash
        self.content_key = hashlib.sha256(prompt + min(a, b) + max(a, b)).digest()
        self.row_hash = hashlib.sha256(prompt + a + b + self.metadata).digest()
        self.external_id = row.external_id or f"row-{self.row_hash.hex()[:24]}"
        line.parsed.external_id = self.external_id


def ready(messages: Messages) -> Text:
    # The same bytes give hash and stored text: hashing.content_hash(messages), without writing the JSON twice.
    data = canonical_json(messages)
    return Text(hashlib.sha256(data).digest(), data.decode(), len(text_of(messages)))


def stored_pairs(cursor: Any, dataset: Dataset, external_ids: list[str]) -> dict[str, StoredPair]:
    cursor.execute(
        "SELECT external_id, id, row_hash, imported_id FROM curation_pair WHERE dataset_id = %s AND external_id = ANY(%s)",
        [dataset.pk, list(set(external_ids))],
    )
    return {name: StoredPair(pk, bytes(row_hash), imported_id) for name, pk, row_hash, imported_id in cursor.fetchall()}


def store_pairs(cursor: Any, dataset: Dataset, import_id: int, fresh: list[Prepared]) -> None:
    """COPY of new pairs with those prompts and responses that are not there yet."""
    prompts = store_prompts(cursor, dataset, {one.prompt.hash: one.prompt for one in fresh})
    wanted = {(prompts[one.prompt.hash], side.hash): side for one in fresh for side in (one.response_a, one.response_b)}
    responses = store_responses(cursor, wanted)
    now = timezone.now()
    ids = new_ids(cursor, "curation_pair", len(fresh))
    columns = (
        "id, dataset_id, prompt_id, response_a_id, response_b_id, external_id, content_key, row_hash, metadata, source_line,"
        " imported_id, pool, created_at"
    )
    with cursor.copy(f"COPY curation_pair ({columns}) FROM STDIN") as copy:
        for pk, one in zip(ids, fresh, strict=True):
            one.line.pair_id = pk
            prompt = prompts[one.prompt.hash]
            copy.write_row((
                pk, dataset.pk, prompt, responses[prompt, one.response_a.hash], responses[prompt, one.response_b.hash],
                one.external_id, one.content_key, one.row_hash, one.metadata.decode(), one.line.number, import_id,
                "unverified", now,
            ))  # fmt: skip


def store_prompts(cursor: Any, dataset: Dataset, wanted: dict[bytes, Text]) -> dict[bytes, int]:
    """content hash -> id, for all of them."""
    cursor.execute(
        "SELECT content_hash, id FROM curation_prompt WHERE dataset_id = %s AND content_hash = ANY(%s)",
        [dataset.pk, list(wanted)],
    )
    found = {bytes(digest): pk for digest, pk in cursor.fetchall()}
    missing = [text for digest, text in wanted.items() if digest not in found]
    ids = new_ids(cursor, "curation_prompt", len(missing))
    with cursor.copy("COPY curation_prompt (id, dataset_id, content_hash, messages, n_chars) FROM STDIN") as copy:
        for pk, text in zip(ids, missing, strict=True):
            found[text.hash] = pk
            copy.write_row((pk, dataset.pk, text.hash, text.json, text.n_chars))
    return found


def store_responses(cursor: Any, wanted: dict[tuple[int, bytes], Text]) -> dict[tuple[int, bytes], int]:
    """(prompt id, content hash) -> id, for all of them."""
    cursor.execute(
        "SELECT r.prompt_id, r.content_hash, r.id FROM unnest(%s::bigint[], %s::bytea[]) AS wanted(prompt, digest)"
        " JOIN curation_response r ON r.prompt_id = wanted.prompt AND r.content_hash = wanted.digest",
        [[prompt for prompt, _ in wanted], [digest for _, digest in wanted]],
    )
    found = {(prompt, bytes(digest)): pk for prompt, digest, pk in cursor.fetchall()}
    missing = [(key, text) for key, text in wanted.items() if key not in found]
    ids = new_ids(cursor, "curation_response", len(missing))
    with cursor.copy("COPY curation_response (id, prompt_id, content_hash, messages, n_chars) FROM STDIN") as copy:
        for pk, (key, text) in zip(ids, missing, strict=True):
            found[key] = pk
            copy.write_row((pk, key[0], text.hash, text.json, text.n_chars))
    return found


def new_ids(cursor: Any, table: str, count: int) -> list[int]:
    cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)", [table, count])
    return [pk for (pk,) in cursor.fetchall()]


# Opinions


def load_opinions(cursor: Any, dataset: Dataset, import_id: int, lines: Iterable[Line], old: set[int], outcome: Outcome) -> None:
    """Labels and gold of pair rows. `old`: pairs that were there before, which may hold some of them already."""
    found = [(line, opinion) for line in lines for opinion in line.parsed.row.opinions]
    judges = judgments.imported_judges(dataset.workspace, {opinion.judge_key for _, opinion in found})
    held = judgments.held(cursor, old & {line.pair_id for line, _ in found}, set(judges.values()))
    rows = []
    for line, opinion in found:
        key = (line.pair_id, judges[opinion.judge_key], opinion.order, opinion.occasion)
        known = held.get(key)
        if known is None:
            held[key] = (opinion.strength, "", "")
            rows.append(judgment_row(line, opinion, judges, opinion.occasion))
        elif known[0] != opinion.strength:
            reason = f"{opinion.name} is already there with another preference (occasion {opinion.occasion}); that one stands."
            outcome.note(line, Fault("label_changed", reason, "labels", shown(opinion.name)))
    judgments.copy_imported(cursor, dataset, import_id, rows)


def judgment_row(line: Line, opinion: Opinion, judges: dict[tuple[str, str, str], int], occasion: int) -> judgments.ImportedRow:
    return judgments.ImportedRow(
        pair_id=line.pair_id, judge_id=judges[opinion.judge_key], strength=opinion.strength, tie_kind=opinion.tie_kind,
        rationale=opinion.rationale, order_shown=opinion.order, occasion=occasion, raw_output=opinion.raw,
        detail=canonical_json(opinion.detail).decode() if opinion.detail else "{}",
    )  # fmt: skip


# Verdicts


def load_verdicts(cursor: Any, dataset: Dataset, import_id: int, lines: list[Line], outcome: Outcome) -> None:
    if not lines:
        return
    stored = stored_pairs(cursor, dataset, [line.parsed.row.pair_id for line in lines])
    known_lines = list(with_pairs(lines, stored, outcome))
    judges = judgments.imported_judges(dataset.workspace, {line.parsed.row.opinion.judge_key for line in known_lines})
    held = judgments.held(cursor, {line.pair_id for line in known_lines}, set(judges.values()))
    series = Series(held)
    rows = []
    for line in known_lines:
        opinion = line.parsed.row.opinion
        occasion, known = series.place(line.pair_id, judges[opinion.judge_key], opinion)
        if known is None:
            rows.append(judgment_row(line, opinion, judges, occasion))
            outcome.rows_new += 1
        elif known[0] != opinion.strength:
            outcome.rows_bad += 1
            outcome.note(
                line, Fault("verdict_changed", "This verdict is already there with another outcome; that one stands.", "id")
            )
        else:
            outcome.rows_known += 1
    judgments.copy_imported(cursor, dataset, import_id, rows)


def with_pairs(lines: list[Line], stored: dict[str, StoredPair], outcome: Outcome) -> Iterator[Line]:
    for line in lines:
        pair = stored.get(line.parsed.row.pair_id)
        if pair is None:
            outcome.rows_bad += 1
            reason = "No pair of this dataset has this id. Import the pairs first."
            outcome.note(line, Fault("pair_unknown", reason, "pair_id", shown(line.parsed.row.pair_id)))
            continue
        line.pair_id = pair.pk
        yield line


class Series:
    """The verdicts of one judge on one pair in one order: which are there, and the number that the next one gets.

    A verdict is known by its id in the source; without one by its text and outcome.
    """

    def __init__(self, held: dict[tuple[int, int, str, int], tuple[int | None, str, str]]) -> None:
        self.places: dict[tuple[int, int, str], dict[str, tuple[int, tuple[int | None, str, str]]]] = {}
        for (pair, judge, order, occasion), (strength, source_id, digest) in held.items():
            name = source_id or f"{strength} {digest}"
            self.places.setdefault((pair, judge, order), {})[name] = (occasion, (strength, source_id, digest))

    def place(self, pair: int, judge: int, opinion: Opinion) -> tuple[int, tuple[int | None, str, str] | None]:
        """(its occasion, what is stored of it or None when it is new)."""
        digest = hashlib.md5(opinion.raw.encode(), usedforsecurity=False).hexdigest()
        name = opinion.source_id or f"{opinion.strength} {digest}"
        places = self.places.setdefault((pair, judge, opinion.order), {})
        if name in places:
            return places[name]
        occasion = max((occasion for occasion, _ in places.values()), default=-1) + 1
        places[name] = (occasion, (opinion.strength, opinion.source_id, digest))
        return occasion, None
