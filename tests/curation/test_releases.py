"""Cutting, exporting and checking releases against the ledger."""

import json
import threading

import pytest
from django.db import connection, transaction

from curation import people, release_files, releases
from curation.exporters import read_file
from curation.models import Judge, Judgment, Release, Response
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def release_folder(settings, tmp_path):
    settings.PATHS = type(settings.PATHS)(tmp_path)
    return tmp_path / "releases"


@pytest.fixture
def decided(dataset):
    """Six pairs: two gold, one silver, one tie, one recycled, one discarded; and one in another dataset."""
    pairs = [make_pair(dataset, number) for number in range(6)]
    make_decision(pairs[0], strength=-3, pool="gold", reason="people_agree")
    make_decision(pairs[1], strength=1.5, pool="gold", reason="people_agree", action="flip")
    make_decision(pairs[2], strength=2, pool="silver")
    make_decision(pairs[3], strength=0, pool="silver", reason="tie_agreed")
    make_decision(pairs[4], strength=1, pool="recycled", action="flip", reason="recycled")
    make_decision(pairs[5], strength=None, pool="discarded", action="drop", reason="near_duplicate")
    other = people.get_or_create_dataset(dataset.workspace, "other")
    make_decision(make_pair(other, 7), strength=1, pool="gold")
    return pairs


def exported_rows(release, **layout):
    folder = releases.export(release, **layout)
    return {row["id"]: row for path in folder.glob("*.*") if path.suffix in (".jsonl", ".parquet") for row in read_file(path)}


def test_a_release_holds_the_label_of_the_latest_decision(dataset, decided):
    make_decision(decided[0], strength=2, pool="gold", action="flip", reason="second_look")
    release = releases.cut(dataset)
    rows = exported_rows(release, profile="trl_explicit", provenance=True)
    assert rows["pair-0"]["chosen"] == decided[0].response_b.messages
    assert rows["pair-0"]["rejected"] == decided[0].response_a.messages
    assert rows["pair-0"]["reason"] == "second_look"
    assert rows["pair-1"]["label_source"] == "people"
    assert rows["pair-2"]["label_source"] == "models"
    assert set(rows) == {"pair-0", "pair-1", "pair-2"}


def test_what_is_left_out_is_counted_by_cause(dataset, decided):
    make_pair(dataset, 8)
    same = make_pair(dataset, 9, a="twin", b="twin")
    make_decision(same, strength=1, pool="gold")
    make_decision(make_pair(dataset, 10), strength=None, pool="gold")
    make_decision(make_pair(dataset, 11), strength=0.4, pool="silver")
    release = releases.cut(dataset, min_margin=0.5)
    assert {(row["cause"], row["pool"]): row["pairs"] for row in release.manifest["left_out"]} == {
        ("undecided", "unverified"): 1,
        ("identical", "gold"): 1,
        ("no_label", "gold"): 1,
        ("below_min_margin", "silver"): 1,
        ("tie", "silver"): 1,
        ("pool", "recycled"): 1,
        ("pool", "discarded"): 1,
    }
    assert release.manifest["considered"] == 10
    assert release.n_rows == release.manifest["released"]["pairs"] == 3


def test_messages_with_images_are_left_out_and_counted_once(dataset, decided):
    parts = [{"role": "assistant", "content": [{"type": "image", "url": "x"}]}]
    Response.objects.filter(pk=decided[3].response_b_id).update(messages=parts)
    release = releases.cut(dataset, tie_policy="both_orders")
    assert {"cause": "not_text", "pool": "silver", "pairs": 1} in release.manifest["left_out"]
    assert "pair-3" not in exported_rows(release, provenance=True)


@pytest.mark.parametrize(("policy", "rows"), [("drop", 0), ("both_orders", 2), ("zero_margin", 1)])
def test_ties_follow_the_policy(dataset, decided, policy, rows):
    release = releases.cut(dataset, tie_policy=policy)
    kept = release.rows.filter(pair=decided[3])
    assert kept.count() == rows
    assert {row.margin for row in kept} <= {0.0}
    assert len({row.chosen for row in kept}) == rows
    assert release.n_rows == 3 + rows
    assert releases.verify(release).ok


def test_the_side_of_a_zero_margin_tie_depends_on_the_content_not_on_the_order(dataset):
    other = people.get_or_create_dataset(dataset.workspace, "other")
    chosen = []
    for place, (left, right) in ((dataset, ("x", "y")), (other, ("y", "x"))):
        pairs = [make_pair(place, n, a=f"{left}{n}", b=f"{right}{n}") for n in range(20)]
        for pair in pairs:
            make_decision(pair, strength=0)
        rows = exported_rows(releases.cut(place, tie_policy="zero_margin"), profile="trl_explicit", provenance=True)
        chosen.append([rows[f"pair-{n}"]["chosen"] for n in range(20)])
    assert chosen[0] == chosen[1]
    assert len({text[0]["content"][0] for text in chosen[0]}) == 2


def test_the_same_state_gives_the_same_release_unless_forced(dataset, decided):
    first = releases.cut(dataset)
    same, new = releases.cut_if_changed(dataset, releases.CutSettings())
    assert (same, new) == (first, False)
    assert Release.objects.count() == 1
    forced = releases.cut(dataset, force=True)
    assert (forced.version, forced.content_hash) == (2, first.content_hash)
    assert releases.cut(dataset, pools=("silver", "gold", "silver")).pk == forced.pk


def test_a_later_release_names_its_parent_and_what_changed(dataset, decided):
    first = releases.cut(dataset)
    make_decision(decided[0], strength=3, pool="gold", action="flip")
    make_decision(decided[1], strength=2.5, pool="gold")
    make_decision(decided[2], strength=None, pool="discarded", action="drop", reason="too_long")
    make_decision(make_pair(dataset, 12), strength=1, pool="gold")
    second = releases.cut(dataset)
    assert second.parent == first
    assert second.manifest["parent"] == {"version": 1, "content_hash": first.content_hash}
    assert second.manifest["changes"] == {"added": 1, "removed": 1, "flipped": 1, "changed": 1, "same": 0}


def test_a_release_does_not_change_when_the_dataset_does(dataset, decided):
    release = releases.cut(dataset)
    before = exported_rows(release, profile="trl_explicit", provenance=True)
    make_decision(decided[0], strength=3, pool="discarded", action="drop")
    make_decision(make_pair(dataset, 13), strength=1, pool="gold")
    dataset.name = "Renamed"
    dataset.save()
    elsewhere = release_files.kept_folder(release, release_files.Layout())
    again = releases.export(release, profile="trl_explicit", provenance=True, folder=elsewhere)
    kept = releases.export(release, profile="trl_explicit", provenance=True)
    assert {row["id"]: row for row in read_file(again / "train.parquet")} == before
    for name in ("train.parquet", "README.md", "manifest.json", "LICENSE.md"):
        assert (again / name).read_bytes() == (kept / name).read_bytes()


def test_a_cut_release_loads_from_its_folder(dataset, decided, tmp_path):
    from datasets import load_dataset

    release = releases.cut(dataset, tie_policy="both_orders")
    data = load_dataset(str(releases.export(release)), cache_dir=str(tmp_path / "cache"))["train"]
    assert data.column_names == ["chosen", "rejected", "margin"]
    assert data["margin"] == [3.0, 1.5, 2.0, 0.0, 0.0]
    assert data[0]["chosen"] == decided[0].prompt.messages + decided[0].response_a.messages


def test_no_prompt_is_in_two_splits_and_none_moves_later(dataset):
    pairs = [make_pair(dataset, n, prompt=f"question {n // 2}") for n in range(80)]
    for pair in pairs[:60]:
        make_decision(pair, strength=1)
    first = releases.cut(dataset, test_share=0.3)
    for pair in pairs[60:]:
        make_decision(pair, strength=1)
    second = releases.cut(dataset, test_share=0.3)
    places = {release.pk: {} for release in (first, second)}
    for row in [*first.rows.select_related("pair"), *second.rows.select_related("pair")]:
        places[row.release_id].setdefault(row.pair.prompt_id, set()).add(row.split)
    assert all(len(splits) == 1 for splits in places[second.pk].values())
    assert places[first.pk].items() <= places[second.pk].items()
    assert 4 <= second.manifest["released"]["rows_by_split"]["test"] <= 45
    assert {path.name for path in releases.export(second, format="jsonl").glob("*.jsonl")} == {"train.jsonl", "test.jsonl"}


def test_nothing_to_release_says_what_stands_in_the_way(dataset):
    with pytest.raises(releases.ReleaseError, match="has no pairs"):
        releases.cut(dataset)
    make_pair(dataset)
    with pytest.raises(releases.ReleaseError, match="of 1 pairs, 1 no decision yet"):
        releases.cut(dataset)
    assert not Release.objects.exists()


BAD_SETTINGS = [{"pools": ("discarded",)}, {"pools": ()}, {"tie_policy": "guess"}, {"min_margin": 4}, {"test_share": 0.9}]


def test_settings_that_make_no_sense_are_refused(dataset):
    for bad in BAD_SETTINGS:
        with pytest.raises(releases.ReleaseError):
            releases.cut(dataset, **bad)


def test_verify_names_the_row_whose_text_was_changed(dataset, decided):
    release = releases.cut(dataset)
    assert releases.verify(release).ok
    Response.objects.filter(pk=decided[1].response_a_id).update(messages=[{"role": "assistant", "content": "forged"}])
    found = releases.verify(release)
    assert found.problems[0] == "row 2 (pair 'pair-1'): its texts or its provenance are not those that were released"
    assert len(found.problems) == 2
    assert "rebuilt from the ledger" in found.problems[1]


def test_verify_names_the_row_of_an_exported_file_that_was_changed(dataset, decided):
    release = releases.cut(dataset)
    releases.export(release, format="parquet")
    path = releases.export(release, format="jsonl", provenance=True) / "train.jsonl"
    assert releases.verify(release).folders_checked == 2
    lines = path.read_text().splitlines(keepends=True)
    row = json.loads(lines[1])
    path.write_text(lines[0] + json.dumps({**row, "margin": 9.0}) + "\n" + lines[2])
    [problem] = releases.verify(release).problems
    assert "train.jsonl: row 2 (pair 'pair-1') differs in margin" in problem
    path.write_text("".join(lines[:2]))
    assert "row 3 (pair 'pair-2')" in releases.verify(release).problems[0]
    path.write_text("".join([*lines, lines[0]]))
    assert "rows that the release does not have" in releases.verify(release).problems[0]


def test_a_decision_that_commits_late_with_a_low_id_does_not_break_the_release(dataset, decided):
    """Ids are drawn before commits: without waiting for open writers, the watermark would later cover a row it never saw."""
    drawn, cut_started = threading.Event(), threading.Event()

    def late_writer():
        with transaction.atomic():
            make_decision(decided[0], strength=3, pool="gold", reason="late")
            drawn.set()
            cut_started.wait(5)
            threading.Event().wait(0.3)
        connection.close()

    writer = threading.Thread(target=late_writer)
    writer.start()
    drawn.wait(5)
    make_decision(decided[1], strength=-1, pool="gold", reason="early")
    cut_started.set()
    release = releases.cut(dataset)
    writer.join()
    assert releases.verify(release).ok
    assert "late" in {row["reason"] for row in release.manifest["released"]["by_reason"]}


def test_a_cut_does_not_wait_for_ever_for_decisions_under_way(dataset, decided, monkeypatch):
    monkeypatch.setattr(releases, "WATERMARK_WAIT", "200ms")
    writing, done = threading.Event(), threading.Event()

    def slow_writer():
        with transaction.atomic():
            make_decision(decided[0], strength=3, pool="gold")
            writing.set()
            done.wait(20)
        connection.close()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    writing.wait(5)
    try:
        with pytest.raises(releases.ReleaseError, match="Wait for the run to finish"):
            releases.cut(dataset)
    finally:
        done.set()
        writer.join()
    assert releases.cut(dataset).version == 1


def test_two_cuts_at_once_make_one_release(dataset, decided):
    made, refused = [], []
    together = threading.Barrier(4)

    def attempt():
        together.wait(5)
        try:
            made.append(releases.cut(dataset).pk)
        except releases.ReleaseError as error:
            refused.append(str(error))
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) + len(refused) == 4
    assert len(set(made)) == Release.objects.count() == 1
    assert all("being cut right now" in words for words in refused)


def test_two_exports_at_once_leave_one_whole_folder(dataset, decided, release_folder):
    release = releases.cut(dataset)
    folders = []
    together = threading.Barrier(4)

    def attempt():
        together.wait(5)
        folders.append(releases.export(release, format="jsonl"))
        connection.close()

    threads = [threading.Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folders) == 4
    assert len(set(folders)) == 1
    assert [path.name for path in (release_folder / release.content_hash).iterdir()] == [folders[0].name]
    assert releases.verify(release).ok


def test_an_export_that_fails_leaves_nothing_behind(dataset, decided, release_folder):
    decided[2].prompt.messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    decided[2].prompt.save()
    release = releases.cut(dataset)
    with pytest.raises(releases.ReleaseError, match="Pair 'pair-2' cannot be written as plain text"):
        releases.export(release, profile="trl_explicit", style="plain")
    assert list((release_folder / release.content_hash).iterdir()) == []


def test_a_folder_with_files_in_it_is_left_alone(dataset, decided, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(releases.ReleaseError, match="not an empty folder"):
        releases.export(releases.cut(dataset), folder=tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep me"


def test_the_manifest_says_who_judged_without_naming_people(dataset, decided, annotator):
    model = Judge.objects.create(workspace=dataset.workspace, kind="llm_judge", name="GPT-4", method="Vanilla", version="v1")
    person = Judge.objects.create(workspace=dataset.workspace, kind="human", name=annotator.username, user=annotator)
    for pair in decided[:3]:
        Judgment.objects.create(dataset=dataset, pair=pair, judge=model, strength=1, order_shown="ab")
    old = Judgment.objects.create(dataset=dataset, pair=decided[0], judge=person, strength=-2, guideline="v1", detail={})
    Judgment.objects.create(dataset=dataset, pair=decided[0], judge=person, strength=-3, guideline="v2", supersedes=old)
    Judgment.objects.create(dataset=dataset, pair=decided[5], judge=model, strength=1, order_shown="ab")
    manifest = releases.cut(dataset).manifest
    counts = {judge["name"]: (judge["judgments"], judge["pairs"]) for judge in manifest["judges"]}
    assert counts == {"GPT-4": (3, 3), f"person {person.pk}": (1, 1)}
    agreeing = {judge["name"]: (judge["agreeing"], judge["compared"]) for judge in manifest["judges"]}
    assert agreeing == {"GPT-4": (2, 3), f"person {person.pk}": (1, 1)}
    assert manifest["guidelines"] == [{"version": "v2", "judgments": 1}]
    assert manifest["agreement"]["annotators"] == 1
    assert manifest["watermarks"]["judgment"] == Judgment.objects.latest("id").pk
    assert annotator.username not in json.dumps(manifest)
