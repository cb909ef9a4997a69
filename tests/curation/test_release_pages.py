"""Release pages: who sees what, the preview, cutting, and the files."""

import json

import pytest

from curation import people, releases
from curation.exporters import read_file
from curation.models import Release, Role
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)
BASE = "/w/lab/d/pairs/releases/"
CHOICES = {"pools": ["gold", "silver"], "tie_policy": "drop", "min_margin": "0", "test_percent": "0", "notes": ""}


@pytest.fixture(autouse=True)
def release_folder(settings, tmp_path):
    settings.PATHS = type(settings.PATHS)(tmp_path)


@pytest.fixture
def decided(dataset):
    pairs = [make_pair(dataset, number) for number in range(5)]
    for pair in pairs[:3]:
        make_decision(pair, strength=-2, pool="gold", reason="people_agree")
    make_decision(pairs[3], strength=0, reason="judges_say_tie")
    other = people.get_or_create_dataset(dataset.workspace, "other")
    make_decision(make_pair(other, 9), strength=1)
    return pairs


@pytest.fixture
def release(dataset, decided):
    return releases.cut(dataset)


def signed_in(client, user):
    client.force_login(user)
    return client


def status_of(client, user, address):
    answer = signed_in(client, user).get(address)
    answer.close()
    return answer.status_code


def test_readers_see_releases_and_others_do_not(client, release, curator, viewer, annotator, stranger):
    for page in ("", "1/", "1/manifest.json", "1/trl_implicit.jsonl", "1/trl_explicit.parquet"):
        client.logout()
        assert client.get(BASE + page).status_code == 302
        assert [status_of(client, user, BASE + page) for user in (curator, viewer, annotator, stranger)] == [
            200,
            200,
            403,
            404,
        ], page


def test_only_curators_cut(client, decided, curator, viewer, annotator, stranger):
    for user, status in ((viewer, 403), (annotator, 403), (stranger, 404)):
        assert status_of(client, user, BASE + "new/") == status
        assert client.post(BASE + "cut/", CHOICES).status_code == status
    assert not Release.objects.exists()
    assert status_of(client, curator, BASE + "new/") == 200
    assert client.get(BASE + "cut/").status_code == 405
    assert client.post(BASE + "cut/", CHOICES).status_code == 302


def test_a_release_of_another_dataset_is_not_found_here(client, release, curator):
    other = people.get_or_create_dataset(release.dataset.workspace, "other")
    releases.cut(other)
    releases.cut(other, force=True)
    assert signed_in(client, curator).get(BASE + "2/").status_code == 404
    assert client.get("/w/lab/d/other/releases/2/").status_code == 200


def test_a_release_of_another_workspace_is_not_found(client, release, stranger):
    people.add_member(release.dataset.workspace, "mia", Role.OWNER)
    assert signed_in(client, stranger).get("/w/elsewhere/d/pairs/releases/1/").status_code == 404


def test_the_preview_counts_what_the_choices_take(client, decided, curator):
    page = signed_in(client, curator).get(BASE + "new/").content.decode()
    assert "3 of 5 pairs" in page
    assert "tie, left out by policy" in page
    page = client.get(BASE + "new/", {**CHOICES, "tie_policy": "both_orders"}).content.decode()
    assert "4 of 5 pairs" in page
    part = client.get(BASE + "new/", {**CHOICES, "pools": ["silver"]}, headers={"HX-Request": "true"}).content.decode()
    assert "Nothing to release with these choices" in part
    assert "<html" not in part
    page = client.post(BASE + "cut/", {**CHOICES, "tie_policy": "zero_margin", "count": "1"}).content.decode()
    assert "4 of 5 pairs" in page
    assert not Release.objects.exists()


def test_cutting_on_the_page_makes_a_release_and_says_when_nothing_changed(client, decided, curator):
    answer = signed_in(client, curator).post(BASE + "cut/", {**CHOICES, "notes": "For <b>training</b>"}, follow=True)
    assert answer.redirect_chain == [(BASE + "1/", 302)]
    page = answer.content.decode()
    assert "Release 1 is cut." in page
    assert "For &lt;b&gt;training&lt;/b&gt;" in page
    made = Release.objects.get()
    assert (made.created_by, made.n_rows) == (curator, 3)
    assert made.content_hash in page
    again = client.post(BASE + "cut/", CHOICES, follow=True).content.decode()
    assert "Nothing changed since release 1" in again
    assert Release.objects.count() == 1


def test_wrong_choices_are_said_and_cut_nothing(client, decided, curator):
    signed_in(client, curator)
    for wrong in ({"pools": ["discarded"]}, {"pools": []}, {"tie_policy": "x"}, {"min_margin": "nan"}, {"test_percent": "99"}):
        answer = client.post(BASE + "cut/", {**CHOICES, **wrong})
        assert answer.status_code == 400
        assert 'class="error"' in answer.content.decode()
    assert not Release.objects.exists()


def test_nothing_to_release_is_said_on_the_page(client, dataset, curator):
    make_pair(dataset)
    answer = signed_in(client, curator).post(BASE + "cut/", CHOICES)
    assert answer.status_code == 409
    assert "Nothing to release: of 1 pairs, 1 no decision yet." in answer.content.decode()


def test_downloads_are_the_exported_bytes_under_a_safe_name(client, release, viewer, tmp_path):
    signed_in(client, viewer)
    for name in ("trl_implicit.jsonl", "trl_implicit.parquet", "trl_explicit.jsonl", "trl_explicit.parquet"):
        answer = client.get(f"{BASE}1/{name}", {"provenance": "1"})
        profile, file_format = name.split(".")
        folder = releases.export(release, profile=profile, format=file_format, provenance=True)
        copy = tmp_path / name
        copy.write_bytes(b"".join(answer.streaming_content))
        assert copy.read_bytes() == (folder / f"train.{file_format}").read_bytes()
        assert answer["Content-Disposition"] == f'attachment; filename="pairs-v1-{profile}-provenance-train.{file_format}"'
        assert [row["id"] for row in read_file(copy)] == ["pair-0", "pair-1", "pair-2"]


def test_files_that_a_release_does_not_have_are_not_found(client, release, viewer):
    for name in ("trl_implicit.csv", "dpo.jsonl", "trl_implicit.jsonl?split=../secret", "trl_implicit.jsonl?split=test"):
        assert status_of(client, viewer, f"{BASE}1/{name}") == 404


def test_a_file_that_cannot_be_made_is_explained_on_the_release_page(client, release, viewer):
    answer = signed_in(client, viewer).get(f"{BASE}1/trl_implicit.jsonl?style=plain", follow=True)
    assert answer.redirect_chain == [(BASE + "1/", 302)]
    assert "Plain text needs the profile trl_explicit" in answer.content.decode()


def test_the_manifest_downloads_as_json(client, release, viewer):
    manifest = json.loads(signed_in(client, viewer).get(f"{BASE}1/manifest.json").content)
    assert manifest["content_hash"] == release.content_hash
    assert manifest["settings"]["tie_policy"] == "drop"


def test_hostile_reasons_and_names_are_shown_as_text(client, dataset, curator):
    people.change_settings(dataset, name="<script>alert(1)</script>", source="[x](javascript:alert(1)) <img src=x>")
    make_decision(make_pair(dataset), strength=1, reason="<script>alert(2)</script>")
    releases.cut(dataset)
    for page in ("new/", "1/", ""):
        text = signed_in(client, curator).get(BASE + page).content.decode()
        assert "<script>alert" not in text
        assert "<img src" not in text
        assert 'href="javascript' not in text


def test_the_list_pages_by_version(client, dataset, decided, curator):
    for _ in range(27):
        releases.cut(dataset, force=True)
    first = signed_in(client, curator).get(BASE).content.decode()
    assert "Release 27<" in first
    assert "Release 2<" not in first
    assert "?before=3" in first
    assert "Release 2<" in client.get(BASE + "?before=3").content.decode()
