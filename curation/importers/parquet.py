"""Rows out of a Parquet file, a few hundred at a time. Pure: no Django; pyarrow is loaded when the first file is read."""

import base64
import datetime
import decimal
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from curation.importers.faults import Broken, Fault
from curation.importers.reading import MAX_DEPTH, MAX_LINE_BYTES, Read, check_text

BATCH_ROWS = 256
MAX_ROW_GROUP_BYTES = 4 * 1024**3  # unpacked, as the file itself states it
TEXTS = frozenset({"STRING", "NONE", "JSON", "ENUM", "BSON"})


def read_rows(path: Path, *, after_line: int = 0) -> Iterator[Read]:
    """Rows after number `after_line`. Memory is bounded by one row group and the rows of at most MAX_LINE_BYTES.

    Texts stay in their dictionaries until their size is known: a file of a few KB can repeat one huge text a million times.
    """
    import pyarrow as pa
    from pyarrow import parquet as pq

    line = after_line
    try:
        with pq.ParquetFile(path, memory_map=False, read_dictionary=text_columns(path)) as file:
            check_file(file)
            size = path.stat().st_size
            for group, first in groups_after(file, after_line):
                for batch in file.iter_batches(batch_size=BATCH_ROWS, row_groups=[group]):
                    skip = min(max(after_line - first, 0), batch.num_rows)
                    for found in rows_of(batch.slice(skip), first + skip, file.metadata.num_rows, size):
                        line = found.line
                        yield found
                    first += batch.num_rows
            if file.metadata.num_rows == 0:
                yield Read(0, size, None, Fault("file_empty", "The file holds no row."))
    except Broken as broken:
        yield Read(line + 1, 0, None, broken.fault)
    except (pa.ArrowException, OSError, ValueError, TypeError, MemoryError) as error:
        reason = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
        yield Read(line + 1, 0, None, Fault("parquet_broken", f"The Parquet file cannot be read after row {line}: {reason}"))


def text_columns(path: Path) -> list[str]:
    """Paths of the columns that hold texts or bytes of any length."""
    from pyarrow import parquet as pq

    schema = pq.read_metadata(path).schema
    columns = [schema.column(number) for number in range(len(schema))]
    return [each.path for each in columns if each.physical_type == "BYTE_ARRAY" and each.logical_type.type in TEXTS]


def unpacked_bytes(array: Any) -> int:
    """Size of the array's values once every text stands by itself."""
    import pyarrow as pa
    from pyarrow import compute

    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return unpacked_bytes(array.storage)
    if pa.types.is_dictionary(kind) and (pa.types.is_string(kind.value_type) or pa.types.is_binary(kind.value_type)):
        lengths = compute.binary_length(array.dictionary)
        return array.indices.nbytes + (compute.sum(lengths.take(array.indices)).as_py() or 0)
    if pa.types.is_struct(kind):
        return sum(map(unpacked_bytes, array.flatten()))
    if pa.types.is_map(kind):
        first, last = (array.offsets[end].as_py() for end in (0, len(array)))
        return sum(unpacked_bytes(part.slice(first, last - first)) for part in (array.keys, array.items))
    if pa.types.is_nested(kind):  # the kinds of lists: no other can be in a Parquet file
        return unpacked_bytes(array.flatten())
    return array.nbytes


def check_file(file: Any) -> None:
    names = file.schema_arrow.names
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Broken("parquet_broken", f"The column {twice!r} is there twice.", twice)
    for group in range(file.metadata.num_row_groups):
        if file.metadata.row_group(group).total_byte_size > MAX_ROW_GROUP_BYTES:
            raise Broken("parquet_broken", "A row group holds more than 4 GB. Write the file with smaller row groups.")


def groups_after(file: Any, after_line: int) -> Iterator[tuple[int, int]]:
    """(number, rows before it) of each row group that holds a row after `after_line`."""
    first = 0
    for group in range(file.metadata.num_row_groups):
        n_rows = file.metadata.row_group(group).num_rows
        if first + n_rows > after_line:
            yield group, first
        first += n_rows


def rows_of(batch: Any, before: int, n_rows: int, size: int) -> Iterator[Read]:
    size_here = sum(map(unpacked_bytes, batch.columns))
    values, row_bytes = whole_batch(batch, size_here), size_here // max(batch.num_rows, 1)
    for number in range(batch.num_rows):
        line = before + number + 1
        offset = size * line // max(n_rows, 1)
        try:
            row = one_row(batch.slice(number, 1)) if values is None else values[number]
            plain_row = {key: plain(value, key, 1) for key, value in row.items()}
            yield Read(line, offset, plain_row, None, row_bytes)
        except Broken as broken:
            yield Read(line, offset, None, broken.fault)


def whole_batch(batch: Any, size: int) -> list[dict[str, Any]] | None:
    """The rows at once, or None where one of them is bad or huge and they must be looked at one by one."""
    if size > MAX_LINE_BYTES:
        return None
    try:
        return batch.to_pylist()
    except (ValueError, OverflowError):
        return None


def one_row(single: Any) -> dict[str, Any]:
    """A batch of one row as pyarrow gives it. Raises Broken."""
    if sum(map(unpacked_bytes, single.columns)) > MAX_LINE_BYTES:
        raise Broken("line_too_long", f"The row is larger than {MAX_LINE_BYTES // 1024**2} MB.")
    try:
        return single.to_pylist()[0]
    except UnicodeDecodeError:
        raise Broken("bad_utf8", "A text of the row is not UTF-8.") from None
    except (ValueError, OverflowError) as error:
        raise Broken("value_not_text", f"A value cannot be read: {error}") from None


def plain(value: Any, field: str, depth: int) -> Any:
    """A JSON value for what pyarrow gives. NaN and infinities become null: Parquet files write missing numbers so."""
    if depth > MAX_DEPTH:
        raise Broken("too_deep", f"Nested more than {MAX_DEPTH} levels deep.", field)
    if isinstance(value, str):
        check_text(value, field)
        return value
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: plain(entry, f"{field}.{key}", depth + 1) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, f"{field}[{number}]", depth + 1) for number, entry in enumerate(value)]
    return plain_scalar(value, field)


def plain_scalar(value: Any, field: str) -> Any:
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else None
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise Broken("value_not_text", f"The column holds {type(value).__name__} values, which cannot be stored.", field)
