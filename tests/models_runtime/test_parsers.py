"""The parsers against every verdict string of four published judge runs, row by row."""

import doctest
import gzip
import json
import re
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_runtime import batching, judging, likelihood, parsers, texts
from models_runtime.parsers import PARSERS, Reading
from tests.data import data_file


def rows(name: str) -> list[dict]:
    path = data_file(name)
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [row for row in map(json.loads, lines) if row["raw"] is not None]


def outcome(row: dict) -> str:
    """How our reading compares with the published one."""
    ours, published = PARSERS[row["method"]](row["raw"]).position, row["verdict_position"]
    if ours == published:
        return "same"
    return "no verdict" if ours is None else "invented" if published is None else "opposite"


def outcomes(name: str) -> dict[tuple[str, str], dict[str, int]]:
    counts: dict[tuple[str, str], Counter] = {}
    for row in rows(name):
        counts.setdefault((row["judge_model"], row["method"]), Counter())[outcome(row)] += 1
    return {key: dict(value) for key, value in counts.items()}


@pytest.mark.real_data
def test_every_japanese_verdict_is_read_as_published():
    assert outcomes("ja_vicuna_gpt4/judges.jsonl") == {
        ("gpt-4 (2023)", "pair"): {"same": 420},
        ("gpt-4 (2023)", "pair-math"): {"same": 60},
    }


@pytest.mark.real_data
def test_every_verdict_number_on_the_last_line_is_read_as_published():
    method = "three-class, verdict number on the last line"
    assert outcomes("qlora_vicuna_gpt4/judges.jsonl") == {("gpt-4 (2023)", method): {"same": 960}}


@pytest.mark.real_data
def test_llmbar_answers_are_read_as_published_but_for_the_classes_named_below():
    assert outcomes("llmbar/judges.jsonl.gz") == {
        **{(model, "Vanilla"): {"same": 838} for model in ("GPT-4", "ChatGPT", "LLaMA2", "PaLM2", "Falcon")},
        ("GPT-4", "CoT"): {"same": 838},
        ("ChatGPT", "CoT"): {"same": 838},
        ("LLaMA2", "CoT"): {"same": 837, "no verdict": 1},
        ("PaLM2", "CoT"): {"same": 691, "no verdict": 3, "opposite": 144},
        ("Falcon", "CoT"): {"same": 834, "no verdict": 2, "opposite": 2},
    }


@pytest.mark.real_data
def test_where_an_llmbar_reading_is_opposite_the_published_rule_took_a_line_that_is_no_verdict():
    """For PaLM2 the published rule is "the first pattern found at the start of any line", with Output (a) tried first: an answer
    that opens with "Output (b) is better." and has a later line about Output (a) was counted for (a). For Falcon it tries
    "Output (a) is better." before (b), wherever it stands: "in terms of detail, ...", "if the goal is ..."."""
    found = [row for row in rows("llmbar/judges.jsonl.gz") if outcome(row) == "opposite"]
    for row in found:
        claimed = set(re.findall(r"(?:^|Therefore, |\n ?)Output \(([ab])\) is better", row["raw"]))
        last = re.findall(r"Output \(([ab])\) is better", row["raw"])[-1]
        ours = PARSERS["CoT"](row["raw"]).position
        assert claimed == {last} == {"a" if ours == "first" else "b"}
    misread_first_line = [row for row in found if row["judge_model"] == "PaLM2" and row["verdict_position"] == "first"]
    assert len(misread_first_line) == 143
    assert all(re.search(r"(?:^|\n) ?Output \(a\)", row["raw"]) for row in misread_first_line)


@pytest.mark.real_data
def test_where_an_llmbar_answer_gets_no_verdict_it_contradicts_itself_or_declines():
    found = [row["raw"] for row in rows("llmbar/judges.jsonl.gz") if outcome(row) == "no verdict"]
    declines = [raw for raw in found if "I cannot claim that either Output (a) or Output (b) is better" in raw]
    both = [
        raw
        for raw in found
        if {"Output (a) is better", "Output (b) is better"} <= set(re.findall(r"Output \([ab]\) is better", raw))
    ]
    assert (len(found), len(declines), len(both)) == (6, 1, 5)


@pytest.mark.real_data
def test_pandalm_reasons_are_read_only_where_they_name_the_better_response():
    """These files keep the reason and not the whole answer: a reason such as "Response 1 is concise" is no verdict. Two
    reasons say the opposite of the verdict that their run recorded beside them."""
    assert outcomes("pandalm_test/judges.jsonl") == {
        ("PandaLM-7B", "pandalm"): {"same": 505, "no verdict": 494},
        ("gpt-3.5-turbo", "pandalm-json"): {"same": 273, "no verdict": 724, "opposite": 2},
    }
    opposite = [row for row in rows("pandalm_test/judges.jsonl") if outcome(row) == "opposite"]
    assert all("Response 2 is better" in row["raw"] and row["verdict_raw"] == "1" for row in opposite)


@pytest.mark.real_data
def test_a_whole_pandalm_answer_is_read_by_its_first_line():
    words = {"0": "Tie", 0: "Tie"}
    for row in rows("pandalm_test/judges.jsonl"):
        verdict = words.get(row["verdict_raw"], row["verdict_raw"])
        answer = f"{verdict}\n\n### Reason: withheld\n\n### Reference: withheld"
        assert PARSERS["pandalm"](answer).position == row["verdict_position"]


@pytest.mark.real_data
def test_published_points_are_read_and_equal_points_are_a_tie():
    """LLMBar counted equal points, and a missing score, for one side; a tie and an unreadable answer are what they are."""
    with gzip.open(data_file("llmbar/judges.jsonl.gz"), "rt") as lines:
        rated = [row for row in map(json.loads, lines) if row["method"] == "Rating"]
    counts: Counter = Counter()
    for row in rated:
        order = ("a", "b") if row["order"] == "ab" else ("b", "a")
        reading = PARSERS["Rating"](" ".join(row["scores"][side] for side in order))
        counts["same" if reading.position == row["verdict_position"] else str(reading.position)] += 1
    assert counts == {"same": 1112, "tie": 560, "None": 4}


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("pairwise_v1", "<think>[[A]] at first</think>After all: [[B]]", "second"),
        ("pairwise_v1", "<think>[[A]] and then the tokens ran out", None),
        ("pairwise_v1", "The response says 'print [[A]]', which is no reason. [[B]]", None),
        ("pairwise_v1", "[[D]]", None),
        ("pairwise_strength_v1", "[[A]]", None),
        ("pairwise_strength_v1", "[[A=B]]", "tie"),
        ("CoT", "Neither Output (a) nor Output (b) is better.", None),
        ("CoT", "I do not think that Output (a) is better.", None),
        ("CoT", "Output (a) is better at jokes.", None),
        ("three-class, verdict number on the last line", "1\n2", "second"),
        ("three-class, verdict number on the last line", "4", None),
        ("Rating", "Scores: 8 9", None),
    ],
)
def test_a_verdict_is_read_only_where_it_is_plainly_said(name, text, expected):
    assert PARSERS[name](text).position == expected


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_every_parser_is_total(name):
    @given(st.one_of(st.none(), st.text(), st.lists(st.sampled_from(PIECES)).map("".join)))
    def reads_anything(text):
        assert isinstance(PARSERS[name](text), Reading)

    reads_anything()


PIECES = [
    "[[A]]",
    "[[B>>A]]",
    "Output (a) is better",
    "Output (b) is better",
    ". ",
    "\n",
    "3",
    "Tie",
    "<think>",
    "</think>",
    "8 9",
    "[[",
]


@pytest.mark.parametrize(
    "text", ["Output (a) is better if " * 20_000, "[[" * 200_000, "<think>" * 50_000, "or " * 100_000 + "Output (a) is better"]
)
def test_a_hostile_answer_of_half_a_megabyte_is_read_quickly(text):
    started = time.monotonic()
    for parser in set(PARSERS.values()):
        parser(text)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("module", [parsers, judging, batching, likelihood, texts], ids=lambda module: module.__name__)
def test_the_examples_in_the_documentation_hold(module):
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
