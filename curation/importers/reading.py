"""Rows out of JSONL, JSONL.gz and Parquet files, one after the other in constant memory. Pure: no Django.

Nothing in a file raises: what cannot be read comes out as a Fault beside its line number, and reading goes on with the next
line where there is one.
"""

import gzip
import json
import math
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, NoReturn

from curation.importers.faults import Broken, Fault

MAX_LINE_BYTES = 50 * 1024 * 1024
MAX_SKIPPED_BYTES = 1024 * 1024 * 1024  # of one overlong line, before the file is given up: a gzip bomb is one endless line
MAX_BLANK_LINES = 1_000_000  # in a row, before the file is given up: so is a gzip bomb of line ends
MAX_DEPTH = 64
TICK_LINES = 20_000
ENDLESS_BLANKS = "There is no end of blank lines; the file was not read any further."


class Read(NamedTuple):
    """One line of a file. Both `row` and `fault` None: a sign of life while lines already stored are passed over."""

    line: int  # 1 is the first; of Parquet the number of the row
    offset: int  # bytes of the stored file used up so far
    row: dict[str, Any] | None
    fault: Fault | None = None
    size: int = 0  # bytes of the line, unpacked


def read(path: Path, *, after_line: int = 0) -> Iterator[Read]:
    """Rows of the file after line `after_line`, in order. The kind of file is told by its first bytes, not by its name."""
    try:
        with path.open("rb") as file:
            yield from read_open(file, path, after_line)
    except OSError as error:
        yield Read(0, 0, None, Fault("file_unreadable", f"The file cannot be read: {error.strerror or error}."))


def read_open(file: BinaryIO, path: Path, after_line: int) -> Iterator[Read]:
    magic = file.read(4)
    file.seek(0)
    if not magic:
        yield Read(0, 0, None, Fault("file_empty", "The file is empty."))
    elif magic == b"PAR1":
        from curation.importers import parquet

        yield from parquet.read_rows(path, after_line=after_line)
    elif magic[:2] == b"\x1f\x8b":
        yield from read_gzip(file, after_line)
    else:
        yield from read_lines(file, file, after_line)


def read_gzip(file: BinaryIO, after_line: int) -> Iterator[Read]:
    line = 0
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            # No further buffer around it: one that fails to fill, at a cut, would take the good lines it holds with it.
            for found in read_lines(unpacked, file, after_line):
                line = found.line
                yield found
    except EOFError:
        fault = Fault("file_cut_short", f"The gzip file ends in the middle, after line {line}. The lines before it went in.")
        yield Read(line + 1, file.tell(), None, fault)
    except (gzip.BadGzipFile, zlib.error) as error:
        yield Read(line + 1, file.tell(), None, Fault("gzip_broken", f"The gzip data is damaged after line {line}: {error}."))


def read_lines(lines: BinaryIO | gzip.GzipFile, stored: BinaryIO, after_line: int) -> Iterator[Read]:
    """JSON objects, one per line. `stored` is the file whose position tells the progress."""
    line = blank_lines = blank_bytes = 0
    while True:
        raw = lines.readline(MAX_LINE_BYTES + 1)
        if not raw:
            return
        line += 1
        is_blank = raw.isspace()
        blank_lines, blank_bytes = (blank_lines + 1, blank_bytes + len(raw)) if is_blank else (0, 0)
        if blank_lines > MAX_BLANK_LINES or blank_bytes > MAX_SKIPPED_BYTES:
            yield Read(line, stored.tell(), None, Fault("line_endless", ENDLESS_BLANKS))
            return
        if len(raw) > MAX_LINE_BYTES:
            fault = pass_over_rest(lines)
            if line > after_line or fault.effect == "file":
                yield Read(line, stored.tell(), None, fault)
            if fault.effect == "file":
                return
        elif line == 1 and (broken := not_json_lines(raw)):
            yield Read(1, stored.tell(), None, broken)
            return
        elif line > after_line:
            yield from read_line(line, stored.tell(), raw)
        elif line % TICK_LINES == 0:
            yield Read(line, stored.tell(), None)


def pass_over_rest(lines: BinaryIO | gzip.GzipFile) -> Fault:
    """Reads to the end of a line that is too long, but not for ever."""
    passed = MAX_LINE_BYTES
    while passed < MAX_SKIPPED_BYTES:
        raw = lines.readline(1024 * 1024)
        passed += len(raw)
        if not raw or raw.endswith(b"\n"):
            return Fault("line_too_long", f"The line is longer than {MAX_LINE_BYTES // 1024**2} MB.")
    return Fault("line_endless", f"A line is longer than {MAX_SKIPPED_BYTES // 1024**2} MB; the file was not read any further.")


def not_json_lines(first: bytes) -> Fault | None:
    if first.startswith((b"\xff\xfe", b"\xfe\xff")):
        return Fault("not_json_lines", "The file is UTF-16 text. Save it as UTF-8.")
    if first.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        return Fault("not_json_lines", "The file is one JSON list. Write one object per line (JSON Lines), without the brackets.")
    return None


def read_line(line: int, offset: int, raw: bytes) -> Iterator[Read]:
    """The row of one line; nothing for a blank one."""
    if line == 1:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    if raw.isspace() or not raw:
        return
    try:
        yield Read(line, offset, parse(raw), None, len(raw))
    except Broken as broken:
        yield Read(line, offset, None, broken.fault, len(raw))


def parse(raw: bytes) -> dict[str, Any]:
    """One JSON object whose every value PostgreSQL can hold. Raises Broken."""
    try:
        value = DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Broken("bad_utf8", f"Byte {error.start + 1} of the line is not UTF-8.", value=raw) from None
    except json.JSONDecodeError as error:
        raise Broken("invalid_json", f"Not JSON: {error.msg} at character {error.pos + 1}.", value=raw) from None
    except RecursionError:
        raise Broken("too_deep", f"Nested more than {MAX_DEPTH} levels deep.", value=raw) from None
    except ValueError:
        raise Broken("number_too_large", "A number has more digits than can be read.", value=raw) from None
    if not isinstance(value, dict):
        raise Broken("not_an_object", f"The line holds {kind_of(value)}, not an object.", value=raw)
    if b"\\u0000" in raw or b"\\ud" in raw.lower() or raw.count(b"[") + raw.count(b"{") > MAX_DEPTH:
        check(value)
    return value


def refuse_constant(name: str) -> NoReturn:
    raise Broken("not_a_number", f"{name} is not JSON; leave the value out or write null.", value=name)


def finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Broken("number_too_large", "A number is too large to be held.", value=text)
    return value


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys differ: of a key given twice nobody can say which value was meant."""
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(key for key, n in Counter(key for key, _ in pairs).items() if n > 1)
        raise Broken("duplicate_key", f"The key {twice!r} is there twice.", twice)
    return found


DECODER = json.JSONDecoder(object_pairs_hook=once, parse_constant=refuse_constant, parse_float=finite)


def check(row: Any) -> None:
    """Raises Broken for a text that PostgreSQL cannot hold, and for nesting beyond MAX_DEPTH. Never recurses."""
    waiting: list[tuple[Any, str, int]] = [(row, "", 0)]
    while waiting:
        value, field, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise Broken("too_deep", f"Nested more than {MAX_DEPTH} levels deep.", field)
        if isinstance(value, str):
            check_text(value, field)
        elif isinstance(value, dict):
            for key, entry in value.items():
                check_text(key, field or "a key")
                waiting.append((entry, f"{field}.{key}" if field else key, depth + 1))
        elif isinstance(value, list):
            waiting.extend((entry, f"{field}[{number}]", depth + 1) for number, entry in enumerate(value))


def check_text(text: str, field: str) -> None:
    if "\x00" in text:
        raise Broken("nul_character", "The text holds a NUL character, which no database text can.", field, text)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise Broken("lone_surrogate", "The text holds half a surrogate pair, which is no character.", field, text) from None


def kind_of(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), type(value).__name__)
