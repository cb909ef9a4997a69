"""An importing process is killed with SIGKILL in the middle; going on afterwards gives exact totals."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import pytest
from django.db import connection
from django.db.models import Count

from curation import importers
from curation.importers import jobs
from curation.models import Import, Judgment, Pair
from tests.curation.import_files import counts, pair_row, write_rows

ROOT = Path(__file__).resolve().parents[2]
ROWS = 3000
# Small batches, so that the kill falls between some of them, and inside one.
PROGRAM = """
import sys, django
django.setup()
from curation import importers
from curation.importers import jobs
jobs.BATCH_ROWS = 200
importers.resume(int(sys.argv[1]))
"""


def this_database() -> str:
    settings = connection.settings_dict
    host, port = settings["HOST"], settings["PORT"]
    password = f":{quote(settings['PASSWORD'], safe='')}" if settings["PASSWORD"] else ""
    return f"postgresql://{settings['USER']}{password}@:{port}/{settings['NAME']}?host={quote(host, safe='')}"


def killed_after(imported: Import, lines: int) -> None:
    """Start a process on the import and kill it once `lines` lines are stored."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", "DATABASE_URL": this_database()}
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(imported.pk)], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while imported.lines_done < lines:
        assert process.poll() is None, "the import ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
        imported.refresh_from_db()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz"])
def test_killing_an_import_loses_and_doubles_nothing(transactional_db, dataset, tmp_path, ending, monkeypatch):
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 2)
    path = write_rows(tmp_path / f"pairs.{ending}", [*(pair_row(n) for n in range(ROWS)), "{"])
    started = importers.start_import(dataset, path, file_name=path.name)
    killed_after(started, 600)
    started.refresh_from_db()
    assert started.state == "running"
    assert 0 < started.lines_done < ROWS
    assert counts(dataset)["pairs"] == started.rows_new == started.lines_done
    Import.objects.filter(pk=started.pk).update(lease_until=None)  # the dead process's lease, without the wait
    killed_after(started, started.lines_done + 400)
    Import.objects.filter(pk=started.pk).update(lease_until=None)
    same = importers.start_import(dataset, path, file_name=path.name)
    assert same.pk == started.pk
    assert importers.resume(same.pk) is False
    same.refresh_from_db()
    assert (same.state, same.rows_new, same.rows_known, same.rows_bad) == ("done", ROWS, 0, 1)
    assert counts(dataset) == {"prompts": ROWS // 3, "responses": 2 * ROWS, "pairs": ROWS, "judgments": 3 * ROWS}
    assert Pair.objects.filter(dataset=dataset).values("source_line").distinct().count() == ROWS
    per_pair = Judgment.objects.filter(dataset=dataset).values("pair").annotate(n=Count("id"))
    assert set(per_pair.values_list("n", flat=True)) == {3}
    assert same.issues.count() == 1


def test_the_lease_of_a_dead_process_runs_out_by_itself(transactional_db, dataset, tmp_path, monkeypatch):
    path = write_rows(tmp_path / "pairs.jsonl", [pair_row(n) for n in range(10)])
    started = importers.start_import(dataset, path, file_name=path.name)
    monkeypatch.setattr(jobs, "LEASE_SECONDS", 1)
    assert jobs.claim(started.pk)
    assert importers.resume(started.pk) is False
    assert counts(dataset)["pairs"] == 0
    time.sleep(1.2)
    importers.resume(started.pk)
    assert counts(dataset)["pairs"] == 10


def test_two_files_with_the_same_pairs_go_in_at_once_without_doubles(transactional_db, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 50)
    rows = [pair_row(n) for n in range(600)]
    files = [write_rows(tmp_path / "one.jsonl", rows), write_rows(tmp_path / "two.jsonl", rows[::-1])]

    def work(path):
        try:
            started = importers.start_import(dataset, path, file_name=path.name)
            importers.resume(started.pk)
            started.refresh_from_db()
            return started.state, started.rows_new, started.rows_known, started.rows_bad
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(work, files))
    assert [result[0] for result in results] == ["done", "done"]
    assert sum(result[1] for result in results) == sum(result[2] for result in results) == 600
    assert counts(dataset) == {"prompts": 200, "responses": 1200, "pairs": 600, "judgments": 1800}
