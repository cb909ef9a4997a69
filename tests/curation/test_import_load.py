"""Rows in the database: once each, in the right dataset, whatever is repeated, changed or cut off."""

from pathlib import Path

import pyarrow as pa
import pytest
from django.db import connection
from pyarrow import parquet as pq

from curation import importers, people
from curation.importers import jobs
from curation.importers.faults import CODES
from curation.models import Import, Judge, Judgment, Pair, Response
from models_runtime.hashing import content_hash
from tests.curation.import_files import bring_in, counts, issue_codes, pair_row, verdict_row, write_rows


@pytest.fixture
def other(workspace):
    return people.get_or_create_dataset(workspace, "other")


def test_pairs_labels_and_gold_become_rows(dataset, tmp_path):
    done = bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(10)]))
    assert (done.state, done.shape, done.rows_new, done.rows_known, done.rows_bad) == ("done", "concord", 10, 0, 0)
    assert counts(dataset) == {"prompts": 4, "responses": 20, "pairs": 10, "judgments": 30}
    pair = Pair.objects.get(dataset=dataset, external_id="p3")
    assert (pair.metadata["subset"], pair.source_line, pair.pool) == ("s1", 4, "unverified")
    assert pair.prompt.messages == [{"role": "user", "content": "Question 1"}]
    assert bytes(pair.response_a.content_hash) == content_hash([{"role": "assistant", "content": "First 3"}])
    gold = Judge.objects.get(workspace=dataset.workspace, kind="imported", name="gold")
    assert gold.is_gold
    human = Judge.objects.get(workspace=dataset.workspace, kind="human", name="w9")
    assert (human.user, human.is_gold) == (None, False)
    assert set(Judgment.objects.filter(judge=human).values_list("strength", "tie_kind")) == {(0, "tie")}


def test_repeating_an_import_changes_nothing(dataset, tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(50)])
    bring_in(dataset, path)
    before = counts(dataset)
    again = bring_in(dataset, path)
    assert (again.rows_new, again.rows_known, again.rows_bad) == (0, 50, 0)
    assert counts(dataset) == before
    assert issue_codes(again) == {}


def test_two_datasets_do_not_mix(dataset, other, tmp_path):
    path = write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(5)])
    bring_in(dataset, path)
    done = bring_in(other, path)
    assert done.rows_new == 5
    assert counts(dataset) == counts(other)
    assert not Pair.objects.filter(dataset=other).exclude(prompt__dataset=other).exists()
    assert not Response.objects.filter(
        prompt__dataset=other, pk__in=Pair.objects.filter(dataset=dataset).values("response_a")
    ).exists()
    verdicts = bring_in(other, write_rows(tmp_path / "v.jsonl", [verdict_row(1)]))
    assert verdicts.rows_new == 1
    assert Judgment.objects.get(judge__name="gpt").pair.dataset == other


def test_a_row_with_a_known_id_and_other_content_is_refused_and_the_stored_one_stands(dataset, tmp_path):
    bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(1)]))
    done = bring_in(dataset, write_rows(tmp_path / "q.jsonl", [pair_row(1, response_b="Other"), pair_row(2)]))
    assert (done.rows_new, done.rows_bad) == (1, 1)
    issue = done.issues.get()
    assert (issue.code, issue.line, issue.external_id, issue.fatal) == ("row_changed", 1, "p1", True)
    assert Pair.objects.get(external_id="p1").response_b.messages[0]["content"] == "Second 1"


def test_ids_repeated_inside_a_file_are_told_apart_by_their_content(dataset, tmp_path):
    done = bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(1), pair_row(1), pair_row(1, response_a="Other")]))
    assert (done.rows_new, done.rows_known, done.rows_bad) == (1, 1, 1)
    assert issue_codes(done) == {"row_repeated": 1, "row_changed": 1}
    assert Judgment.objects.count() == 3


def test_new_labels_on_a_known_pair_go_in_and_changed_ones_do_not(dataset, tmp_path):
    bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(1, gold=None, labels=[{"annotator": "x", "preference": "a"}])]))
    labels = [
        {"annotator": "x", "preference": "b"},
        {"annotator": "y", "preference": "b"},
        {"annotator": "x", "preference": "tie"},
    ]
    done = bring_in(dataset, write_rows(tmp_path / "q.jsonl", [pair_row(1, gold="b", labels=labels)]))
    found = Judgment.objects.order_by("judge__name", "occasion").values_list("judge__name", "strength", "occasion")
    assert list(found) == [("gold", 1, 0), ("x", -1, 0), ("x", 0, 1), ("y", 1, 0)]
    assert issue_codes(done) == {"label_changed": 1}


def test_verdicts_join_their_pairs_with_judge_order_and_raw_text(dataset, tmp_path):
    bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(3)]))
    rows = [
        verdict_row(0), verdict_row(0, id="v0-ba", order="ba", verdict="tie"),
        verdict_row(1, verdict=None, raw=None), verdict_row(99),
    ]  # fmt: skip
    done = bring_in(dataset, write_rows(tmp_path / "v.jsonl.gz", rows))
    assert (done.shape, done.rows_new, done.rows_bad) == ("verdicts", 3, 1)
    assert (done.issues.get().code, done.issues.get().line) == ("pair_unknown", 4)
    judge = Judge.objects.get(kind="llm_judge")
    assert (judge.name, judge.method) == ("gpt", "m")
    found = Judgment.objects.filter(judge=judge).order_by("id").values_list("strength", "tie_kind", "order_shown", "raw_output")
    assert list(found) == [(-1, "", "ab", "raw 0"), (0, "tie", "ba", "raw 0"), (None, "unreadable", "ab", "")]


def test_several_answers_of_one_judge_in_one_order_are_occasions_and_repeat_safely(dataset, tmp_path):
    bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(0)]))
    rows = [verdict_row(0, id=f"sample-{n}", raw=f"try {n}", verdict="ab"[n % 2]) for n in range(4)]
    first = bring_in(dataset, write_rows(tmp_path / "v.jsonl", rows[:3]))
    more = bring_in(dataset, write_rows(tmp_path / "w.jsonl", rows))
    assert (first.rows_new, more.rows_new, more.rows_known) == (3, 1, 3)
    found = Judgment.objects.filter(judge__name="gpt").order_by("occasion").values_list("occasion", "strength")
    assert list(found) == [(0, -1), (1, 1), (2, -1), (3, 1)]
    changed = bring_in(dataset, write_rows(tmp_path / "x.jsonl", [verdict_row(0, id="sample-0", verdict="b")]))
    assert issue_codes(changed) == {"verdict_changed": 1}


def test_verdicts_without_ids_repeat_safely_too(dataset, tmp_path):
    bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(0)]))
    rows = [verdict_row(0, id=None, raw=text) for text in ("one", "two")]
    bring_in(dataset, write_rows(tmp_path / "v.jsonl", rows))
    again = bring_in(dataset, write_rows(tmp_path / "w.jsonl", [*rows, verdict_row(0, id=None, raw="three")]))
    assert (again.rows_new, again.rows_known) == (1, 2)


def test_trl_rows_of_a_parquet_file_become_pairs_with_a_stored_label(dataset, tmp_path):
    def turns(reply):
        return [{"role": "user", "content": "Hi?"}, {"role": "assistant", "content": reply}]

    rows = [{"chosen": turns(f"good {n}"), "rejected": turns("bad"), "margin": float(n % 3 + 1)} for n in range(20)]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    done = bring_in(dataset, path)
    assert (done.shape, done.rows_new, done.rows_bad) == ("preference", 20, 0)
    assert counts(dataset) == {"prompts": 1, "responses": 21, "pairs": 20, "judgments": 20}
    for judgment in Judgment.objects.select_related("judge", "pair__response_a", "pair__response_b"):
        chosen = judgment.pair.response_a if judgment.strength < 0 else judgment.pair.response_b
        assert chosen.messages[0]["content"].startswith("good")
        assert (judgment.judge.name, abs(judgment.strength)) == ("stored label", judgment.detail["margin"])
    assert bring_in(dataset, path).rows_known == 20


def test_good_rows_go_in_beside_bad_ones_and_every_bad_one_is_listed(dataset, tmp_path):
    rows = [pair_row(0), "{broken", pair_row(1, response_a=None), pair_row(2, response_a=True), '{"a": "\\u0000"}', pair_row(3)]
    done = bring_in(dataset, write_rows(tmp_path / "p.jsonl", rows))
    assert (done.state, done.rows_new, done.rows_bad) == ("done", 3, 3)
    found = list(done.issues.order_by("id").values_list("line", "field", "code", "excerpt", "fatal"))
    assert found == [
        (2, "", "invalid_json", "{broken\n", True),
        (3, "response_a", "field_missing", "id, source, prompt, response_a, response_b, labels, gold, meta", True),
        (4, "response_a", "response_not_text", "true", False),
        (5, "a", "nul_character", "␀", True),
    ]


def test_a_file_cut_short_keeps_its_beginning_and_says_so(dataset, tmp_path):
    path = write_rows(tmp_path / "p.jsonl.gz", [pair_row(n, response_a=str(hash(str(n))) * 3) for n in range(3000)])
    path.write_bytes(path.read_bytes()[:-3000])
    done = bring_in(dataset, path)
    assert done.state == "done"
    assert "ends in the middle" in done.error
    assert 1000 < done.rows_new == counts(dataset)["pairs"]
    assert issue_codes(done)["file_cut_short"] == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b'{"a": 1}\n', "No known shape"), (b"[1]\n", "one JSON list"), (b"\xff\n" * 20, "No line could be read")],
)
def test_a_file_that_cannot_be_read_fails_with_its_reason(dataset, tmp_path, content, says):
    path = tmp_path / "x.jsonl"
    path.write_bytes(content)
    done = bring_in(dataset, path)
    assert (done.state, done.rows_new) == ("failed", 0)
    assert says in done.error
    assert done.finished_at is not None


def test_an_import_stopped_between_batches_goes_on_where_it_was(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 10)
    path = write_rows(tmp_path / "p.jsonl.gz", [pair_row(n) for n in range(95)])
    started = importers.start_import(dataset, path, file_name="p")
    turns = 1
    while importers.resume(started.pk, seconds=0):
        turns += 1
    started.refresh_from_db()
    assert (turns, started.state, started.rows_new, started.rows_known) == (11, "done", 95, 0)
    assert counts(dataset)["judgments"] == 95 * 3


def test_one_process_works_and_the_other_passes_by(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 10)
    path = write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(30)])
    started = importers.start_import(dataset, path, file_name="p")
    seen = []

    def meanwhile(imported):
        same = importers.start_import(dataset, path, file_name="again")
        seen.append((same.pk, importers.resume(same.pk)))

    assert importers.resume(started.pk, watch=meanwhile) is False
    assert seen == [(started.pk, False)] * 3
    assert counts(dataset)["pairs"] == 30


def test_a_cancelled_import_stops_and_keeps_what_is_in(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 10)
    started = importers.start_import(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(30)]), file_name="p")
    assert importers.resume(started.pk, watch=importers.cancel) is False
    started.refresh_from_db()
    assert (started.state, started.rows_new) == ("cancelled", 10)
    assert counts(dataset)["pairs"] == 10
    assert importers.resume(started.pk) is False


def test_a_worker_whose_claim_was_taken_stores_nothing_more(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "BATCH_ROWS", 10)
    started = importers.start_import(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(n) for n in range(30)]), file_name="p")

    def overslept(imported):
        # As when this process hung until its lease ran out, and another one finished the file.
        Import.objects.filter(pk=started.pk).update(lease_until=None)
        while importers.resume(started.pk):
            pass

    importers.resume(started.pk, watch=overslept)
    started.refresh_from_db()
    assert (started.state, started.rows_new, started.rows_known) == ("done", 30, 0)
    assert counts(dataset) == {"prompts": 10, "responses": 60, "pairs": 30, "judgments": 90}


def test_what_the_database_refuses_costs_one_row(dataset, tmp_path):
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE curation_pair ADD CONSTRAINT no_seven CHECK (external_id <> 'p7')")
    done = bring_in(dataset, write_rows(tmp_path / "q.jsonl", [pair_row(n) for n in range(1, 20)]))
    assert (done.state, done.rows_new, done.rows_bad) == ("done", 18, 1)
    assert (done.issues.get().code, done.issues.get().line) == ("row_refused", 7)


def test_issues_are_cut_at_a_limit_and_still_counted(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "MAX_ISSUES", 5)
    done = bring_in(dataset, write_rows(tmp_path / "p.jsonl", [pair_row(0), *["{"] * 20]))
    assert (done.rows_bad, done.issues.count()) == (20, 5)
    assert issue_codes(done)["issues_cut"] == 1


def test_every_fault_that_code_can_name_is_in_the_manual():
    manual = (Path(__file__).resolve().parents[2] / "docs" / "import.md").read_text()
    assert [code for code in CODES if f"`{code}`" not in manual] == []
