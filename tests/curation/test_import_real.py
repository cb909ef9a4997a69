"""The real sets go in whole, and their known faults are reported by name."""

import pytest

from curation.models import Judgment, Pair
from tests.curation.import_files import bring_in, counts, issue_codes
from tests.data import data_file

pytestmark = pytest.mark.real_data

# set: (pairs file, pairs, judgments in it, issues), (verdicts file, judgments)
SETS = {
    "llmbar": (("pairs.jsonl", 419, 838, {}), ("judges.jsonl.gz", 10_056)),
    "pandalm_test": (("pairs.jsonl", 999, 2997, {"response_empty": 54, "response_literal": 6}), ("judges.jsonl", 1998)),
    "ukpconvarg1": (("pairs.jsonl", 2440, 14_512, {"responses_identical": 1, "gold_on_identical": 1}), None),
    "squality_humaneval": (("pairs.jsonl", 300, 900, {}), None),
    "hh_harmless_test": (("pairs.jsonl.gz", 2307, 2307, {"response_empty": 4}), None),
    "fgrlhf_dev": (("pairs.jsonl.gz", 3000, 3000, {}), None),
    "qlora_vicuna_gpt4": (("pairs.jsonl", 480, 0, {}), ("judges.jsonl", 960)),
    "ja_vicuna_gpt4": (("pairs.jsonl", 240, 0, {}), ("judges.jsonl", 480)),
}


@pytest.mark.parametrize("name", SETS)
def test_a_real_set_goes_in_without_losing_a_row(dataset, name):
    (pairs, n_pairs, n_labels, issues), verdicts = SETS[name]
    done = bring_in(dataset, data_file(f"{name}/{pairs}"))
    assert (done.state, done.rows_new, done.rows_bad) == ("done", n_pairs, 0)
    assert issue_codes(done) == issues
    if verdicts:
        done = bring_in(dataset, data_file(f"{name}/{verdicts[0]}"))
        assert (done.rows_new, done.rows_bad, issue_codes(done)) == (verdicts[1], 0, {})
    found = counts(dataset)
    assert (found["pairs"], found["judgments"]) == (n_pairs, n_labels + (verdicts[1] if verdicts else 0))


def test_pandalm_keeps_every_vote_and_every_unreadable_verdict(dataset):
    bring_in(dataset, data_file("pandalm_test/pairs.jsonl"))
    bring_in(dataset, data_file("pandalm_test/judges.jsonl"))
    humans = Judgment.objects.filter(dataset=dataset, judge__kind="human")
    assert sorted(humans.values_list("judge__name", flat=True).distinct()) == [f"pandalm-annotator{n}" for n in (1, 2, 3)]
    assert humans.filter(strength=0).count() == 326
    assert Judgment.objects.filter(dataset=dataset, tie_kind="unreadable").count() == 25
    assert Pair.objects.get(dataset=dataset, external_id="pandalm-157").response_a.messages[0]["content"] == "True"


def test_squality_rating_differences_become_strengths_of_all_three_sizes(dataset):
    bring_in(dataset, data_file("squality_humaneval/pairs.jsonl"))
    found = Judgment.objects.filter(dataset=dataset)
    sizes = [abs(strength) for strength in found.values_list("strength", flat=True)]
    assert {size: sizes.count(size) for size in (0, 1, 2, 3)} == {0: 17, 1: 281, 2: 210, 3: 392}
    assert found.filter(detail__strength=35, detail__rating_a__isnull=False).exclude(strength__in=[2, -2]).count() == 0


def test_long_conversations_keep_their_turns(dataset):
    bring_in(dataset, data_file("hh_harmless_test/pairs.jsonl.gz"))
    prompt = Pair.objects.get(dataset=dataset, external_id="hh-harmless-test-0").prompt
    assert [turn["role"] for turn in prompt.messages] == ["user", "assistant", "user", "assistant", "user"]
