"""What the commands `judges` and `agreement` print, against published figures and on small ledgers told by hand."""

import json

import pytest
from django.core.management import call_command

from curation import agreement_report, consensus, judge_report, judgments, people, people_agreement
from curation.models import Dataset, JudgeKind
from tests.builders import make_pair
from tests.curation.import_files import bring_in
from tests.data import data_file

PUBLISHED = {"correct_ab": "correct_False", "correct_ba": "correct_True", "correct_both": "correct_both", "same_verdict": "equal"}


def printed(capsys, *command: str):
    capsys.readouterr()
    call_command(*command, "--workspace", "lab", "--json")
    return json.loads(capsys.readouterr().out)


@pytest.mark.real_data
def test_llmbar_counts_are_those_its_authors_published(dataset, capsys):
    bring_in(dataset, data_file("llmbar/pairs.jsonl"))
    bring_in(dataset, data_file("llmbar/judges.jsonl.gz"))
    rows = {
        (row["judge_model"], row["method"], row["slice"]): row for row in printed(capsys, "judges", "pairs", "--by", "subset")
    }
    with data_file("llmbar/published_statistics.jsonl").open() as lines:
        published = [json.loads(line) for line in lines]
    assert len(published) == 60
    for run in published:
        row = rows[run["judge_model"], run["method"], run["subset"]]
        counts = {name: int(run["statistics"][theirs].split(" / ")[0]) for name, theirs in PUBLISHED.items()}
        assert {name: row[name] for name in ("n", *PUBLISHED)} == {"n": run["n"], **counts}
    assert sum(row["unreadable"] for row in rows.values()) == 28


@pytest.mark.real_data
def test_pandalm_agreement_is_that_of_its_authors(dataset, capsys):
    bring_in(dataset, data_file("pandalm_test/pairs.jsonl"))
    bring_in(dataset, data_file("pandalm_test/judges.jsonl"))
    report = printed(capsys, "agreement", "pairs")
    kappas = {tuple(name[-1] for name in row["annotators"]): round(row["kappa"], 3) for row in report["pairwise_cohen_kappa"]}
    assert kappas == {("1", "2"): 0.852, ("1", "3"): 0.879, ("2", "3"): 0.862}
    assert {row["n"] for row in report["pairwise_cohen_kappa"]} == {999}
    assert (round(report["fleiss_kappa"], 4), round(report["krippendorff_alpha"], 4)) == (0.8642, 0.8642)
    assert report["majority"] == {"a": 422, "b": 472, "tie": 105, "none": 0}


@pytest.mark.real_data
def test_dawid_skene_of_pandalms_annotators_is_their_majority_on_every_pair(dataset):
    bring_in(dataset, data_file("pandalm_test/pairs.jsonl"))
    ledger = consensus.read_ledger(dataset)
    majority, skilled = (consensus.probabilities(ledger, method=method) for method in ("majority", "dawid_skene"))
    assert (majority.argmax(axis=1) == skilled.argmax(axis=1)).all()
    assert len(majority) == 999


@pytest.mark.real_data
def test_sparse_annotators_are_measured_where_they_met(dataset):
    bring_in(dataset, data_file("ukpconvarg1/pairs.jsonl"))
    report = agreement_report.report(dataset)
    assert report["annotators"] == 2192
    assert report["krippendorff_alpha"] == pytest.approx(0.36099, abs=1e-5)
    assert report["fleiss_kappa"] is None
    assert "from 4 to 5" in report["notes"]["fleiss_kappa"]
    assert report["pairwise_cohen_kappa"][0]["n"] == 218


@pytest.fixture
def told(workspace, dataset):
    """Two pairs with gold a, judged by one model; a third without gold, and another dataset with an opinion of its own."""
    gold = judgments.model_judge(workspace, JudgeKind.IMPORTED, "gold", spec={}, is_gold=True)
    model = judgments.model_judge(workspace, JudgeKind.LLM_JUDGE, "tiny", method="pairwise", spec={})
    pairs = [make_pair(dataset, number, metadata={"subset": name}) for number, name in enumerate(("x", "x", "y"))]
    elsewhere = make_pair(people.get_or_create_dataset(workspace, "other"))
    for pair in pairs[:2]:
        judgments.record(pair, gold, strength=-1)
    for pair, ab, ba in ((pairs[0], -1, -2), (pairs[1], -1, None), (pairs[2], 1, 1), (elsewhere, 1, 1)):
        for order, strength in (("ab", ab), ("ba", ba)):
            tie_kind = "unreadable" if strength is None else ""
            judgments.record(pair, model, strength=strength, order_shown=order, tie_kind=tie_kind)
    return pairs


def test_right_and_steady_answers_are_counted_per_slice(dataset, told):
    by_slice = {row["slice"]: row for row in judge_report.report(dataset, by="subset")}
    assert by_slice["x"]["judge_model"] == "tiny"
    assert [by_slice["x"][name] for name in ("n", "correct_ab", "correct_ba", "correct_both", "same_verdict", "unreadable")] == [
        2, 2, 1, 1, 1, 1,
    ]  # fmt: skip
    assert (by_slice["y"]["n"], by_slice["y"]["same_verdict"]) == (0, 1)
    assert "no pair of this slice has gold" in by_slice["y"]["note"]
    [whole] = judge_report.report(dataset)
    assert (whole["slice"], whole["n"], whole["n_asked"], whole["correct_ab"]) == ("all", 2, 3, 2)


def test_a_pair_without_the_field_is_a_slice_of_its_own(dataset, told):
    assert {row["slice"] for row in judge_report.report(dataset, by="language")} == {"(none)"}


def test_two_unreadable_answers_count_as_one_verdict(workspace, dataset, told):
    model = judgments.model_judge(workspace, JudgeKind.LLM_JUDGE, "mute", spec={})
    for order in ("ab", "ba"):
        judgments.record(told[0], model, strength=None, tie_kind="unreadable", order_shown=order)
    [mute] = [row for row in judge_report.report(dataset) if row["judge_model"] == "mute"]
    assert (mute["same_verdict"], mute["unreadable"], mute["correct_both"]) == (1, 2, 0)


def test_a_judge_asked_in_no_known_order_has_no_counts_by_order(workspace, dataset, told, annotator):
    judgments.record(told[0], judgments.human_judge(workspace, annotator), strength=-3)
    [alice] = [row for row in judge_report.report(dataset) if row["judge_model"] == "alice"]
    assert (alice["correct_ab"], alice["same_verdict"], alice["correct_no_order"]) == (None, None, 1)


def test_tables_line_up_and_say_what_is_missing(workspace, dataset: Dataset, told, annotator, capsys):
    judgments.record(told[2], judgments.human_judge(workspace, annotator), strength=-3)
    call_command("judges", "pairs", "--workspace", "lab", "--by", "subset")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == [
        "judge_model",
        "method",
        "slice",
        "n",
        "correct_ab",
        "correct_ba",
        "correct_both",
        "same_verdict",
        "unreadable",
    ]
    assert [line.index("x") for line in lines if line.startswith("tiny") and " x " in line] == [lines[0].index("slice")]
    assert lines[-1].startswith("n = 0: no pair")
    call_command("agreement", "pairs", "--workspace", "lab")
    assert "fleiss_kappa: - (every pair has a single label" in capsys.readouterr().out


def test_agreement_counts_the_last_answer_of_each_person_and_no_other_dataset(workspace, dataset, told, annotator, annotator_two):
    alice, bob = (judgments.human_judge(workspace, user) for user in (annotator, annotator_two))
    elsewhere = Dataset.objects.get(slug="other").pairs.get()
    for pair, first, second in ((told[0], 1, 2), (told[1], -1, -3), (told[2], 1, None)):
        judgments.record(pair, alice, strength=first)
        judgments.record(pair, bob, strength=second, tie_kind="" if second else "cannot_judge")
    judgments.record(told[0], bob, strength=-3, occasion=1)
    judgments.record(elsewhere, alice, strength=1)
    report = agreement_report.report(dataset)
    [row] = report["pairwise_cohen_kappa"]
    assert (row["annotators"], row["n"], row["kappa"]) == (["alice", "bob"], 2, 0.0)
    assert report["majority"] == {"a": 1, "b": 1, "tie": 0, "none": 1}


def test_a_dataset_without_human_labels_says_so(dataset):
    make_pair(dataset)
    report = agreement_report.report(dataset)
    assert (report["pairwise_cohen_kappa"], report["fleiss_kappa"], report["majority"]["none"]) == ([], None, 0)
    assert report["notes"]["fleiss_kappa"] == "there are no labels"


def test_the_dataset_page_measures_the_last_answers_on_the_pairs_that_two_people_judged(
    dataset, workspace, annotator, annotator_two
):
    told = [make_pair(dataset, number) for number in range(3)]
    alice, bob = (judgments.human_judge(workspace, user) for user in (annotator, annotator_two))
    for pair, first, second in ((told[0], 1, -2), (told[1], -1, -3)):
        judgments.record(pair, alice, strength=first)
        judgments.record(pair, bob, strength=second)
    judgments.record(told[0], bob, strength=2, occasion=1)
    judgments.record(told[2], alice, strength=3)
    found = people_agreement.of_people(dataset)
    assert (found.alpha, found.unanimous, found.n_pairs, found.n_people, found.cut) == (1.0, 1.0, 2, 2, False)
    assert found.alpha == agreement_report.report(dataset)["krippendorff_alpha"]
    other = people.get_or_create_dataset(workspace, "other")
    judgments.record(make_pair(other), alice, strength=1)
    assert people_agreement.of_people(other).words.startswith("No pair was judged by two")
