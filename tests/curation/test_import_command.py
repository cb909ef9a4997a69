"""manage.py import, as a person at a terminal meets it."""

import io
from dataclasses import replace

import pytest
from django.core.management import CommandError, call_command

from curation.models import Dataset, Import, Pair
from curation.tasks import import_file
from tests.curation.import_files import pair_row, verdict_row, write_rows

pytestmark = pytest.mark.django_db


def run(*arguments, **options) -> tuple[int, str]:
    """(exit status, what it printed)."""
    out = io.StringIO()
    try:
        call_command("import", *map(str, arguments), stdout=out, stderr=out, **options)
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


def test_verdicts_given_first_still_find_their_pairs(tmp_path):
    verdicts = write_rows(tmp_path / "a.jsonl", [verdict_row(n) for n in range(3)])
    pairs = write_rows(tmp_path / "b.jsonl.gz", [pair_row(n) for n in range(3)])
    status, printed = run(verdicts, pairs, "--dataset", "new", "--name", "New set", "--licence", "MIT")
    assert status == 0
    assert printed.index("b.jsonl.gz: done, concord; rows: 3 new") < printed.index("a.jsonl: done, verdicts; rows: 3 new")
    dataset = Dataset.objects.get(slug="new", workspace__slug="main")
    assert (dataset.name, dataset.licence) == ("New set", "MIT")


def test_a_folder_gives_its_known_files(tmp_path):
    write_rows(tmp_path / "judges.jsonl", [verdict_row(0)])
    write_rows(tmp_path / "pairs.jsonl", [pair_row(0)])
    write_rows(tmp_path / "workers.jsonl", [{"annotator": "x"}])
    (tmp_path / "README.md").write_text("hello")
    status, _ = run(tmp_path, "--dataset", "folder", "--workspace", "lab")
    assert status == 0
    assert list(Import.objects.order_by("id").values_list("file_name", "state")) == [
        ("pairs.jsonl", "done"),
        ("judges.jsonl", "done"),
    ]


def test_bad_rows_are_summed_up_and_do_not_fail_the_command(tmp_path):
    status, printed = run(write_rows(tmp_path / "p.jsonl", [pair_row(0), "{", "{", pair_row(1, response_a="")]), "--dataset", "d")
    assert status == 0
    assert "2 new, 0 known, 2 bad" in printed
    assert "2 x invalid_json (skipped), first in line 2" in printed
    assert "1 x response_empty (warning), first in line 4" in printed


def test_a_file_without_a_good_row_fails_the_command(tmp_path):
    status, printed = run(
        write_rows(tmp_path / "a.jsonl", [{"x": "\x1b[31m"}]), write_rows(tmp_path / "b.jsonl", [pair_row(0)]), "--dataset", "d"
    )
    assert status == 1
    assert "No known shape" in printed
    assert "\x1b" not in printed
    assert Pair.objects.count() == 1


def test_a_known_file_given_again_succeeds(tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [pair_row(0)])
    run(path, "--dataset", "d")
    status, printed = run(path, "--dataset", "d")
    assert (status, "0 new, 1 known" in printed) == (0, True)


@pytest.mark.parametrize("arguments", [["missing.jsonl", "--dataset", "d"], [__file__, "--dataset", "not a slug"]])
def test_wrong_arguments_are_refused_before_anything_is_made(arguments):
    with pytest.raises(CommandError):
        run(*arguments)
    assert not Dataset.objects.exists()


def test_a_job_is_left_to_a_worker_with_a_copy_of_the_file(tmp_path, settings):
    settings.PATHS = replace(settings.PATHS, home=tmp_path / "home")
    path = write_rows(tmp_path / "p.jsonl", [pair_row(0)])
    status, printed = run(path, "--dataset", "d", "--job")
    waiting = Import.objects.get()
    assert (status, waiting.state) == (0, "waiting")
    assert "waiting for a worker" in printed
    path.unlink()
    import_file(waiting.pk)
    waiting.refresh_from_db()
    assert (waiting.state, waiting.rows_new) == ("done", 1)
    assert list(settings.PATHS.uploads.glob("*")) == []
