"""Files of every sort and in every state of disrepair: rows or named faults come out, never an exception."""

import gzip
import json
import math
import resource
from itertools import islice

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq

from curation.importers import parquet, reading
from curation.importers.reading import read


def written(tmp_path, data: bytes, name: str = "rows.jsonl"):
    path = tmp_path / name
    path.write_bytes(data)
    return path


def codes(path, **options) -> list[tuple[int, str]]:
    return [(found.line, found.fault.code if found.fault else "row") for found in read(path, **options)]


BAD_LINES = {
    "bad_utf8": b'{"a": "\xff\xfe"}',
    "invalid_json": b'{"a": 1,',
    "not_an_object": b"[1, 2]",
    "not_a_number": b'{"a": NaN}',
    "number_too_large": b'{"a": 1e999}',
    "nul_character": rb'{"a": {"b": ["x\u0000"]}}',
    "lone_surrogate": rb'{"a": "\uD83D"}',
    "duplicate_key": b'{"a": 1, "b": {"c": 1, "c": 2}}',
    "too_deep": b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
}


@pytest.mark.parametrize("code", BAD_LINES)
def test_a_bad_line_is_named_and_its_neighbours_are_read(tmp_path, code):
    path = written(tmp_path, b'{"a": 1}\n' + BAD_LINES[code] + b'\r\n\n{"a": "\\ud83d\\ude00"}')
    assert codes(path) == [(1, "row"), (2, code), (4, "row")]


def test_a_fault_says_where_it_is_and_what_stood_there(tmp_path):
    found = next(read(written(tmp_path, rb'{"labels": [{"why": "a\u0000b"}]}')))
    assert found.fault.field == "labels[0].why"
    assert "\x00" not in found.fault.excerpt
    assert "a␀b" in found.fault.excerpt


@pytest.mark.parametrize("depth", [10_000, 1_000_000])
def test_absurd_nesting_is_a_fault_and_no_crash(tmp_path, depth):
    assert codes(written(tmp_path, b'{"a": ' + b"[" * depth + b'\n{"a": 1}\n'))[-1] == (2, "row")


def test_a_number_with_thousands_of_digits_is_a_fault(tmp_path):
    assert codes(written(tmp_path, b'{"a": ' + b"9" * 10_000 + b"}")) == [(1, "number_too_large")]


def test_an_overlong_line_is_passed_over_without_being_held(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 1000)
    path = written(tmp_path, b'{"a": "' + b"x" * 5_000_000 + b'"}\n{"a": 1}\n')
    assert codes(path) == [(1, "line_too_long"), (2, "row")]
    assert codes(written(tmp_path, gzip.compress(path.read_bytes()))) == [(1, "line_too_long"), (2, "row")]


def test_a_gzip_bomb_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 1000)
    monkeypatch.setattr(reading, "MAX_SKIPPED_BYTES", 5_000_000)
    assert codes(written(tmp_path, gzip.compress(b'{"a": 1}\n' + b" " * 50_000_000))) == [(1, "row"), (2, "line_endless")]


def test_a_gzip_bomb_of_blank_lines_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "MAX_BLANK_LINES", 1000)
    data = b'{"a": 1}\n' + b"\n" * 900 + b'{"a": 2}\n' + b" \n" * 50_000_000
    found = codes(written(tmp_path, gzip.compress(data, compresslevel=1)))
    assert found == [(1, "row"), (902, "row"), (1903, "line_endless")]


@pytest.mark.parametrize("nested", [False, True])
def test_a_parquet_file_that_repeats_one_huge_text_takes_no_memory(tmp_path, nested):
    """The file holds the text once, in a dictionary: 30 KB of file would be 12 GB of rows."""
    n_rows, text = 600, "x" * 20_000_000
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * n_rows, pa.int32()), pa.array([text]))
    column = pa.ListArray.from_arrays(pa.array([0, *[n_rows] * n_rows], pa.int32()), repeated) if nested else repeated
    path = tmp_path / "bomb.parquet"
    table = pa.table({"id": pa.array(range(n_rows)), "response_a": column})
    pq.write_table(table, path, compression="zstd", dictionary_pagesize_limit=10**9, store_schema=False)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = [(found.line, found.fault.code if found.fault else len(found.row["response_a"])) for found in islice(read(path), 12)]
    assert rows == [(line, len(text) if not nested else "line_too_long" if line == 1 else 0) for line in range(1, 13)]
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 700_000_000


TEXT = ["a", "b", None, "long enough"]
COLUMNS = {
    "large": (pa.array(TEXT, pa.large_string()), TEXT),
    "view": (pa.array(TEXT, pa.string_view()), TEXT),
    "dictionary": (pa.array(TEXT).dictionary_encode(), TEXT),
    "numbers": (pa.array([1, 2, None, 2]).dictionary_encode(), [1, 2, None, 2]),
    "bytes": (pa.array([b"a", b"\xff", None, b""]), ["YQ==", "/w==", None, ""]),
    "json": (pa.array(TEXT, pa.json_()), TEXT),
    "list": (pa.array([["a"], [], None, ["b", None]]), [["a"], [], None, ["b", None]]),
    "fixed list": (pa.array([["a", "b"], None, ["c", "d"], ["e", None]], pa.list_(pa.string(), 2)), None),
    "struct": (pa.array([{"a": "x"}, None, {"a": None}, {"a": "y"}]), [{"a": "x"}, None, {"a": None}, {"a": "y"}]),
    "messages": (pa.array([[{"role": "user", "content": "x"}], [], None, [{"role": "user", "content": None}]]), None),
    "map": (
        pa.array([[("k", "v")], [], None, [("z", None)]], pa.map_(pa.string(), pa.string())),
        [[["k", "v"]], [], None, [["z", None]]],
    ),
}


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("one_by_one", [False, True])
def test_parquet_columns_of_every_kind_give_their_values(tmp_path, monkeypatch, kind, one_by_one):
    column, wanted = COLUMNS[kind]
    if one_by_one:
        monkeypatch.setattr(parquet, "whole_batch", lambda batch, size: None)
    path = tmp_path / "kinds.parquet"
    pq.write_table(pa.table({"k": column}), path)
    assert [found.row["k"] for found in read(path)] == (column.to_pylist() if wanted is None else wanted)


def test_the_rows_before_the_cut_of_a_gzip_file_are_read(tmp_path):
    lines = b"".join(json.dumps({"n": n, "noise": hash(str(n))}).encode() + b"\n" for n in range(5000))
    found = codes(written(tmp_path, gzip.compress(lines)[:-2000]))
    assert found[-1][1] == "file_cut_short"
    assert len(found) > 1000
    assert {code for _, code in found[:-1]} <= {"row", "invalid_json"}


def test_damaged_gzip_data_ends_the_file_by_name(tmp_path):
    data = bytearray(gzip.compress(b'{"a": 1}\n' * 100_000))
    data[60:80] = b"\x00" * 20
    assert codes(written(tmp_path, bytes(data)))[-1][1] in ("gzip_broken", "file_cut_short")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b'[{"a": 1}]', "not_json_lines"),
        ('{"a": 1}'.encode("utf-16"), "not_json_lines"),
        (b"PAR1 no", "parquet_broken"),
    ],
)
def test_a_file_of_another_sort_is_named(tmp_path, data, code):
    assert [code for _, code in codes(written(tmp_path, data))] == [code]


def test_a_file_that_cannot_be_opened_is_a_fault(tmp_path):
    assert codes(tmp_path / "missing.jsonl") == [(0, "file_unreadable")]
    assert codes(tmp_path) == [(0, "file_unreadable")]


def test_a_byte_order_mark_does_no_harm(tmp_path):
    assert next(read(written(tmp_path, b'\xef\xbb\xbf{"a": 1}'))).row == {"a": 1}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_reading_goes_on_after_a_given_line(tmp_path, name):
    rows = [{"n": n} for n in range(1000)]
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=300)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = list(read(path, after_line=650))
    assert [one.row["n"] for one in found] == list(range(650, 1000))
    assert [one.line for one in found] == list(range(651, 1001))
    assert found[-1].offset == path.stat().st_size


def test_parquet_values_become_json_values(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({
        "text": ["a", "b\x00"],
        "margin": [math.nan, 1.5],
        "when": pa.array([0, 1], pa.timestamp("us")),
        "turns": [[{"role": "user", "content": "hi"}], None],
    })  # fmt: skip
    pq.write_table(table, path)
    first, second = read(path)
    assert first.row == {"text": "a", "margin": None, "when": "1970-01-01T00:00:00", "turns": [{"role": "user", "content": "hi"}]}
    assert second.fault.code == "nul_character"


def test_one_bad_text_of_a_parquet_file_costs_one_row(tmp_path):
    texts = pa.array([b"good", b"\xff\xff", b"fine"], pa.binary()).view(pa.utf8())
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": texts}), path)
    assert codes(path) == [(1, "row"), (2, "bad_utf8"), (3, "row")]


def test_a_parquet_file_cut_short_is_named(tmp_path):
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": ["x" * 100] * 5000}), path)
    path.write_bytes(path.read_bytes()[:-50])
    assert codes(path)[-1][1] == "parquet_broken"


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400))
def test_any_bytes_give_rows_or_faults(tmp_path, data):
    for found in read(written(tmp_path, data)):
        assert found.row is None or json.dumps(found.row, allow_nan=False).encode()
        if found.fault:
            found.fault.reason.encode()
            found.fault.excerpt.encode()
