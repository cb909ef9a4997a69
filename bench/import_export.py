"""Rows per second in and out, beside a raw COPY of the same bytes.

    .venv/bin/python bench/import_export.py [--rows 20000] [--json out.json]

It makes pairs with two labels and gold each, imports them, decides them and exports a release, in a database of its own that
is dropped at the end. "raw COPY" moves the same file as one text column per line into, and out of, a table without keys:
what the disk and the protocol alone cost.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORDS = [
    "the",
    "a",
    "model",
    "answer",
    "question",
    "because",
    "reward",
    "human",
    "preference",
    "noisy",
    "label",
    "simple",
    "long",
]
# Characters that no JSON line holds, so that COPY takes each line as one field as it stands.
WHOLE_LINE = r"(FORMAT csv, DELIMITER E'\x01', QUOTE E'\x02')"


def write_pairs(path: Path, n_rows: int) -> None:
    draw = random.Random(1)

    def text(length: int) -> str:
        return " ".join(draw.choices(WORDS, k=length))

    with path.open("w") as file:
        for number in range(n_rows):
            labels = [{"annotator": f"w{draw.randrange(50)}-{side}", "preference": draw.choice("ab")} for side in (1, 2)]
            row = {
                "id": f"p{number}", "source": "bench", "prompt": f"{number // 2}: {text(30)}", "labels": labels,
                "response_a": f"{number}a {text(80)}", "response_b": f"{number}b {text(90)}", "gold": draw.choice("ab"),
                "meta": {"topic": draw.choice(WORDS)},
            }  # fmt: skip
            file.write(json.dumps(row) + "\n")


@contextmanager
def own_database() -> Iterator[None]:
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        yield
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = work()
    return time.perf_counter() - began, found


def raw_copy_in(path: Path) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_raw (line text)")
        with path.open("rb") as file, cursor.copy(f"COPY bench_raw FROM STDIN {WHOLE_LINE}") as copy:
            while data := file.read(1024 * 1024):
                copy.write(data)


def raw_copy_out(path: Path) -> None:
    from django.db import connection

    with connection.cursor() as cursor, path.open("wb") as file, cursor.copy(f"COPY bench_raw TO STDOUT {WHOLE_LINE}") as copy:
        for data in copy:
            file.write(data)


def bring_in(dataset: Any, path: Path) -> Any:
    from curation import importers

    started = importers.start_import(dataset, path, file_name=path.name)
    while importers.resume(started.pk):
        pass
    started.refresh_from_db()
    return started


def decide_all(dataset: Any) -> None:
    from curation import decisions
    from curation.models import Run
    from curation.types import Ruling

    run = Run.objects.create(dataset=dataset, step="decide", key="bench")
    ids = list(dataset.pairs.order_by("id").values_list("pk", flat=True))
    for start in range(0, len(ids), 2000):
        rulings = [(pk, Ruling("keep", "bench", "models", 1.0 if pk % 2 else -1.0)) for pk in ids[start : start + 2000]]
        decisions.decide_many(run, rulings)


def measure(n_rows: int, folder: Path) -> list[dict[str, Any]]:
    from curation import people, releases
    from curation.release_files import export

    path = folder / "pairs.jsonl"
    write_pairs(path, n_rows)
    workspace = people.get_or_create_workspace("bench")
    dataset = people.get_or_create_dataset(workspace, "bench")
    results = []

    def add(name: str, seconds: float, size: int) -> None:
        results.append({"what": name, "seconds": round(seconds, 2), "rows_per_second": round(n_rows / seconds), "mb": size / 1e6})

    add("raw COPY in", timed(lambda: raw_copy_in(path))[0], path.stat().st_size)
    seconds, done = timed(lambda: bring_in(dataset, path))
    assert (done.rows_new, done.rows_bad) == (n_rows, 0), done.error
    add("import", seconds, path.stat().st_size)
    seconds, again = timed(lambda: bring_in(dataset, path))
    assert (again.rows_new, again.rows_known) == (0, n_rows)
    add("import again", seconds, path.stat().st_size)
    decide_all(dataset)
    seconds, release = timed(lambda: releases.cut(dataset))
    assert release.n_rows == n_rows
    add("cut a release", seconds, path.stat().st_size)
    add("raw COPY out", timed(lambda: raw_copy_out(folder / "raw.jsonl"))[0], path.stat().st_size)
    for file_format in ("jsonl", "parquet"):
        target = folder / file_format
        write = partial(export, release, profile="trl_explicit", format=file_format, folder=target)
        add(f"export {file_format}", timed(write)[0], sum(file.stat().st_size for file in target.iterdir()))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    from config.services import ensure

    with ensure():
        django.setup()
        with own_database(), tempfile.TemporaryDirectory() as folder:
            results = measure(options.rows, Path(folder))
    print(f"{options.rows:,} pairs, each with two labels and gold")
    for result in results:
        print(f"{result['what']:<16}{result['seconds']:>8.2f} s{result['rows_per_second']:>10,} rows/s{result['mb']:>9.1f} MB")
    print(f"largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
