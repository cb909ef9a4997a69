"""From a released row to the columns of a trainer's file, and the files themselves. No Django, no clock: same rows, same bytes.

Profiles are the two shapes of preference data that TRL reads (its docs, "Dataset formats"): `trl_explicit` holds prompt,
chosen and rejected apart; `trl_implicit` holds whole conversations and the margin, which RewardTrainer subtracts in its loss
(-log sigmoid(reward_chosen - reward_rejected - margin), Llama 2, arXiv 2307.09288).
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from models_runtime.hashing import canonical_json

SCHEMA_VERSION = 1
PROFILES = ("trl_explicit", "trl_implicit")
FORMATS = ("parquet", "jsonl")
STYLES = ("conversational", "plain")
PROVENANCE: tuple[tuple[str, str], ...] = (
    ("id", "text"),
    ("pool", "text"),
    ("label_source", "text"),
    ("action", "text"),
    ("reason", "text"),
    ("strength", "number"),
    ("decision", "integer"),
)
ROWS_PER_GROUP = 1000

Messages = list[dict[str, str]]
FileRow = dict[str, Any]

_TYPES = {
    "messages": pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())])),
    "text": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
}
# Arrow's JSON reader, and with it datasets.load_dataset, turns a column in which every text looks like this into timestamps.
_DATE = re.compile(r"\d{4}-\d\d-\d\d([ T]\d\d(:?\d\d(:?\d\d(\.\d+)?)?)?(Z|[+-]\d\d(:?\d\d)?)?)?\Z")


class Unexportable(Exception):
    """These rows cannot be written in this layout; the message says which row and what to choose instead."""


@dataclass(frozen=True, slots=True)
class ReleasedRow:
    """Everything a release says about one row. Messages are lists of {"role", "content"} with text content.

    margin: |strength|, 0 for a tie kept by policy. strength: signed label in force, negative: response_a is better.
    decision: id of the ledger's row that gave the label. id: the pair's external id.
    """

    id: str
    prompt: Messages
    chosen: Messages
    rejected: Messages
    margin: float
    split: str
    pool: str
    label_source: str  # people, models
    action: str
    reason: str
    strength: float
    decision: int


@dataclass(frozen=True, slots=True)
class Layout:
    """How a release is written. Raises Unexportable for a combination that does not exist."""

    profile: str = "trl_implicit"
    format: str = "parquet"
    style: str = "conversational"
    provenance: bool = False

    def __post_init__(self) -> None:
        for what, value, known in (
            ("profile", self.profile, PROFILES),
            ("format", self.format, FORMATS),
            ("style", self.style, STYLES),
        ):
            if value not in known:
                raise Unexportable(f"There is no {what} {value!r}. Choose one of: {', '.join(known)}.")
        if self.style == "plain" and self.profile == "trl_implicit":
            raise Unexportable(
                "Plain text needs the profile trl_explicit: joining prompt and response into one text would take "
                "a separator that no trainer agrees on."
            )

    @property
    def name(self) -> str:
        parts = [
            self.profile,
            self.format,
            *(["plain"] if self.style == "plain" else []),
            *(["provenance"] if self.provenance else []),
        ]
        return "-".join(parts)

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """(name, kind) in order; kind is messages, text, number or integer."""
        body = "messages" if self.style == "conversational" else "text"
        sides = (("chosen", body), ("rejected", body))
        own = (("prompt", body), *sides) if self.profile == "trl_explicit" else (*sides, ("margin", "number"))
        return (*own, *PROVENANCE) if self.provenance else own


def row_hash(row: ReleasedRow) -> bytes:
    """SHA-256, 32 bytes, of the canonical JSON of everything the row says: what a release's content hash is made of."""
    return hashlib.sha256(canonical_json({name: getattr(row, name) for name in ReleasedRow.__slots__})).digest()


class ContentHash:
    """SHA-256 over row hashes in order."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256(f"concord release {SCHEMA_VERSION}\n".encode())

    def add(self, hashed_row: bytes) -> None:
        self._digest.update(hashed_row)

    @property
    def value(self) -> str:
        return self._digest.hexdigest()


def text_messages(messages: Any) -> Messages | None:
    """The messages if they hold nothing but role and text, which is all that a release carries; None otherwise."""
    if not isinstance(messages, list) or not messages:
        return None
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            return None
        if not isinstance(message["role"], str) or not isinstance(message["content"], str):
            return None
    return messages


def split_of(prompt_hash: bytes, test_share: float) -> str:
    """'train' or 'test', by the prompt alone: no prompt is in both, and none moves when a later release is cut."""
    place = int.from_bytes(hashlib.sha256(b"split\n" + prompt_hash).digest()[:8], "big") / 2**64
    return "test" if place < test_share else "train"


def tie_side(hash_a: bytes, hash_b: bytes) -> str:
    """The side called chosen where nobody said which: by content, so that neither position nor length decides."""
    return "a" if hashlib.sha256(b"tie\n" + min(hash_a, hash_b)).digest()[0] % 2 == (hash_a < hash_b) else "b"


def to_columns(row: ReleasedRow, layout: Layout) -> FileRow:
    """The row as the layout's columns, in their order. Raises Unexportable where plain text cannot hold it."""
    values: FileRow = {name: getattr(row, name) for name, _ in PROVENANCE} if layout.provenance else {}
    if layout.style == "plain":
        values |= {"prompt": _only_text(row, "prompt", "user"), "chosen": _only_text(row, "chosen", "assistant")}
        values["rejected"] = _only_text(row, "rejected", "assistant")
    elif layout.profile == "trl_explicit":
        values |= {"prompt": row.prompt, "chosen": row.chosen, "rejected": row.rejected}
    else:
        values |= {"chosen": row.prompt + row.chosen, "rejected": row.prompt + row.rejected, "margin": row.margin}
    return {name: values[name] for name, _ in layout.columns}


def _only_text(row: ReleasedRow, field: str, role: str) -> str:
    messages: Messages = getattr(row, field)
    if len(messages) != 1 or messages[0]["role"] != role:
        raise Unexportable(
            f"Pair {row.id!r} cannot be written as plain text: its {field} is not a single {role} message. "
            "Choose the style conversational."
        )
    return messages[0]["content"]


class JsonlWriter:
    """One JSON object per line, keys in column order."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._file = path.open("w", encoding="utf-8", newline="\n")
        self._dates = {name for name, kind in layout.columns if kind in ("text", "messages")}

    def write(self, row: FileRow) -> None:
        # A line must be one line for every reader, also for those that split at Unicode's line ends.
        line = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        self._file.write(line.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("\x85", "\\u0085") + "\n")
        if self._dates:
            self._dates = {name for name in self._dates if all(_DATE.match(text) for text in _texts(row[name]))}

    def close(self) -> None:
        self._file.close()

    def check(self) -> None:
        """Raises Unexportable where loaders would change what was written."""
        if self._dates:
            raise Unexportable(
                f"Every text of {', '.join(sorted(self._dates))} looks like a date, and loaders of JSON turn such a column into "
                "timestamps. Choose the format parquet, whose columns have types."
            )


class ParquetWriter:
    """Row groups of a fixed size and a fixed schema: the bytes depend on the rows alone."""

    def __init__(self, path: Path, layout: Layout) -> None:
        self._schema = pa.schema([(name, _TYPES[kind]) for name, kind in layout.columns])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[FileRow] = []

    def write(self, row: FileRow) -> None:
        self._rows.append(row)
        if len(self._rows) == ROWS_PER_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=self._schema))
            self._rows = []

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def check(self) -> None:
        """Typed columns come back as they were written."""


def _texts(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else [message["content"] for message in value]


class SplitWriter:
    """One file per split in a folder, opened when its first row comes. Use as a context manager."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.folder = folder
        self.layout = layout
        self._writers: dict[str, JsonlWriter | ParquetWriter] = {}

    def __enter__(self) -> "SplitWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, row: ReleasedRow) -> None:
        if row.split not in self._writers:
            kind = JsonlWriter if self.layout.format == "jsonl" else ParquetWriter
            self._writers[row.split] = kind(self.folder / file_name(row.split, self.layout.format), self.layout)
        self._writers[row.split].write(to_columns(row, self.layout))

    def check(self) -> None:
        for writer in self._writers.values():
            writer.check()


def file_name(split: str, file_format: str) -> str:
    return f"{split}.{file_format}"


def write_files(rows: Iterable[ReleasedRow], folder: Path, layout: Layout) -> list[Path]:
    """One file per split in `folder`, which exists and is empty. Streams; returns the files. Raises Unexportable."""
    with SplitWriter(folder, layout) as writer:
        for row in rows:
            writer.write(row)
        writer.check()
    return sorted(folder.glob(f"*.{layout.format}"))


def read_file(path: Path) -> Iterator[FileRow]:
    """The rows of a file that write_files made, one at a time, as dictionaries of columns."""
    if path.suffix == ".jsonl":
        with path.open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield json.loads(line)
        return
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=ROWS_PER_GROUP):
            yield from batch.to_pylist()


def differing(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """The columns in which two rows differ."""
    return [name for name in dict.fromkeys([*a, *b]) if name not in a or name not in b or a[name] != b[name]]
