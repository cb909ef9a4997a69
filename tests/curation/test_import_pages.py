"""The import pages: upload, progress, issues and their download, for those who may."""

import csv
import io
import json

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from config.services.paths import Paths
from curation import importers, people
from curation.importers import jobs
from curation.models import Dataset, Import, Pair
from tests.curation.import_files import bring_in, pair_row, write_rows

HOSTILE = "../../etc/<script>alert(1)</script>\x1b.jsonl"


@pytest.fixture(autouse=True)
def own_uploads(settings, tmp_path):
    settings.PATHS = Paths(tmp_path / "home")


@pytest.fixture
def page(client, curator):
    client.force_login(curator)
    return client


def upload(rows, name="pairs.jsonl") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, "".join(json.dumps(row) + "\n" for row in rows).encode())


def send(client, rows=None, *, file_name="pairs.jsonl", follow=False, **fields):
    rows = [pair_row(n) for n in range(3)] if rows is None else rows
    return client.post(reverse("import_new", args=["lab"]), {"file": upload(rows, file_name), **fields}, follow=follow)


def detail(imported, name="import_detail", **query):
    return reverse(name, args=["lab", imported.dataset.slug, imported.pk])


def test_an_upload_into_a_new_dataset_is_stored_and_waits_for_a_worker(page, curator):
    response = send(page, slug="fresh", name="Fresh pairs", licence="MIT", source="a friend")
    waiting = Import.objects.get()
    assert response.url == detail(waiting)
    assert (waiting.state, waiting.created_by, waiting.file_name) == ("waiting", curator, "pairs.jsonl")
    dataset = Dataset.objects.get(slug="fresh")
    assert (dataset.name, dataset.licence, dataset.source) == ("Fresh pairs", "MIT", "a friend")
    importers.resume(waiting.pk)
    assert Pair.objects.filter(dataset=dataset).count() == 3
    assert not list(settings.PATHS.uploads.glob("*"))
    assert "3" in page.get(detail(waiting)).content.decode()


def test_sending_the_form_twice_imports_once(page, dataset):
    first = send(page, dataset="pairs")
    second = send(page, dataset="pairs", follow=True)
    assert second.redirect_chain[0][0] == first.url
    assert "being imported already" in second.content.decode()
    assert Import.objects.count() == 1
    assert len(list(settings.PATHS.uploads.glob("*"))) == 1
    importers.resume(Import.objects.get().pk)


def test_a_hostile_file_name_is_only_ever_text(page, dataset):
    send(page, dataset="pairs", file_name=HOSTILE)
    started = Import.objects.get()
    assert "/" not in started.file_name
    assert settings.PATHS.uploads.resolve() in type(settings.PATHS.uploads)(started.path).parents
    shown = page.get(detail(started)).content.decode()
    assert "<script>alert" not in shown
    importers.cancel(started)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "short name"),
        ({"slug": "no good"}, "slug"),
        ({"dataset": "elsewhere"}, "valid choice"),
        ({"dataset": "pairs", "format": "x"}, "valid choice"),
    ],
)
def test_a_form_that_lacks_something_says_what(page, dataset, fields, says):
    response = send(page, **fields)
    assert response.status_code == 400
    assert says in response.content.decode()
    assert not Import.objects.exists()


def test_a_file_over_the_limit_is_refused(page, dataset, settings):
    settings.UPLOAD_LIMIT_BYTES = 500
    response = send(page, [pair_row(n) for n in range(50)], dataset="pairs")
    assert response.status_code == 413
    assert not Import.objects.exists()


def test_a_form_without_its_token_is_refused(client, curator, dataset):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(curator)
    assert send(strict, dataset="pairs").status_code == 403
    assert not Import.objects.exists()


def test_progress_is_polled_while_the_import_runs_and_not_afterwards(page, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 10)
    started = importers.start_import(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(40)]), file_name="p")
    importers.resume(started.pk, seconds=0)
    fragment = page.get(detail(started), headers={"HX-Request": "true"}).content.decode()
    assert 'hx-trigger="every 1s"' in fragment
    assert "<html" not in fragment
    assert "<progress" in fragment
    importers.resume(started.pk)
    assert "hx-trigger" not in page.get(detail(started), headers={"HX-Request": "true"}).content.decode()


def test_cancelling_stops_the_import(page, dataset, tmp_path):
    started = importers.start_import(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(0)]), file_name="p")
    assert page.post(detail(started, "import_cancel")).status_code == 302
    started.refresh_from_db()
    assert started.state == "cancelled"


@pytest.fixture
def faulty(dataset, tmp_path) -> Import:
    rows = [pair_row(0), '{"=cmd": <b>', *[pair_row(n, response_a="") for n in range(1, 61)]]
    return bring_in(dataset, write_rows(tmp_path / "p.jsonl", rows))


def test_issues_are_grouped_filtered_and_paged(page, faulty):
    first = page.get(detail(faulty))
    assert [(group["code"], group["n"]) for group in first.context["groups"]] == [("invalid_json", 1), ("response_empty", 60)]
    assert "<b>" not in first.content.decode()
    only = page.get(detail(faulty), {"code": "response_empty"})
    assert {issue.code for issue in only.context["issues"]} == {"response_empty"}
    rest = page.get(detail(faulty), {"code": "response_empty", "after": only.context["after"]})
    assert len(only.context["issues"]) + len(rest.context["issues"]) == 60
    assert page.get(detail(faulty), {"code": "'; drop", "after": "x"}).status_code == 200


def test_issues_download_as_jsonl_and_as_csv_without_formulas(page, faulty):
    lines = [json.loads(line) for line in b"".join(page.get(f"{detail(faulty)}issues.jsonl").streaming_content).splitlines()]
    assert len(lines) == 61
    assert {key: lines[0][key] for key in ("line", "code", "effect")} == {"line": 2, "code": "invalid_json", "effect": "row"}
    faulty.issues.filter(code="invalid_json").update(excerpt='=HYPERLINK("x")')
    response = page.get(f"{detail(faulty)}issues.csv")
    table = list(csv.DictReader(io.StringIO(b"".join(response.streaming_content).decode())))
    assert (len(table), table[0]["excerpt"]) == (61, '\'=HYPERLINK("x")')
    assert "attachment" in response["Content-Disposition"]
    assert page.get(f"{detail(faulty)}issues.exe").status_code == 404


def test_viewers_may_look_and_annotators_and_strangers_may_not(client, faulty, viewer, annotator, stranger):
    pages = [detail(faulty), f"{detail(faulty)}issues.csv", reverse("imports", args=["lab", "pairs"])]
    changes = [reverse("import_new", args=["lab"]), detail(faulty, "import_cancel")]
    for user, may_read, may_change in ((viewer, 200, 403), (annotator, 403, 403), (stranger, 404, 404)):
        client.force_login(user)
        assert [client.get(url).status_code for url in pages] == [may_read] * 3
        assert [client.post(url, {"file": upload([])}).status_code for url in changes] == [may_change] * 2


def test_an_import_is_found_only_under_its_own_dataset(page, faulty, workspace):
    people.get_or_create_dataset(workspace, "other")
    assert page.get(reverse("import_detail", args=["lab", "other", faulty.pk])).status_code == 404
