"""What rows mean: labels, gold, verdicts and preference rows, and that no JSON value can break the reading of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.importers.opinions import graded
from curation.importers.shapes import SHAPES, PairRow, VerdictRow, detect, parse
from models_runtime.hashing import canonical_json


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def pair(**fields):
    return {"id": "p1", "prompt": "2 + 2?", "response_a": "4", "response_b": "five", "labels": [], **fields}


def codes(parsed):
    return [fault.code for fault in parsed.faults]


# Concord pairs


def test_a_pair_carries_its_labels_gold_and_everything_else():
    row = pair(
        source="set", model_a="m1", gold="a", meta={"subset": "maths"},
        labels=[
            {"annotator": "ann", "preference": "b", "rationale": "why", "stance": "none"},
            {"annotator": "ann", "preference": "a"},
            {"annotator": "bob", "preference": "tie"},
        ],
    )  # fmt: skip
    parsed = parse("concord", row)
    assert codes(parsed) == []
    assert parsed.row.prompt == [user("2 + 2?")]
    assert parsed.row.response_b == [assistant("five")]
    assert parsed.row.metadata == {"source": "set", "model_a": "m1", "subset": "maths"}
    first, again, tie, gold = parsed.row.opinions
    assert (first.kind, first.name, first.strength, first.rationale, first.detail) == (
        "human",
        "ann",
        1,
        "why",
        {"stance": "none"},
    )
    assert (again.name, again.strength, again.occasion) == ("ann", -1, 1)
    assert (tie.strength, tie.tie_kind) == (0, "tie")
    assert (gold.kind, gold.name, gold.strength) == ("imported", "gold", -1)


@pytest.mark.parametrize(
    ("value", "rated", "grade"),
    [(1, False, 1), (2, False, 2), (-3, False, 3), (0.2, False, 1), (2.5, False, 3), (2, True, 1), (33, True, 1), (34, True, 2),
     (66, False, 2), (67, False, 3), (100, True, 3), (1e9, False, 3), (3.5, False, 1)],
)  # fmt: skip
def test_strengths_of_both_scales_become_one_to_three(value, rated, grade):
    assert graded(value, rated=rated) == grade


def test_a_rating_difference_keeps_its_number():
    label = {"annotator": "r1", "preference": "a", "strength": 35, "rating_a": 45, "rating_b": 10}
    opinion = parse("concord", pair(labels=[label])).row.opinions[0]
    assert opinion.strength == -2
    assert opinion.detail == {"strength": 35, "rating_a": 45, "rating_b": 10}


@pytest.mark.parametrize(("preference", "strength", "stands"), [("b", -2, 1), ("tie", 2, 0), ("a", 0, -1)])
def test_a_label_that_contradicts_its_strength_is_reported_and_its_preference_stands(preference, strength, stands):
    parsed = parse("concord", pair(labels=[{"annotator": "x", "preference": preference, "strength": strength}]))
    assert codes(parsed) == ["label_contradicts_strength"]
    assert parsed.row.opinions[0].strength == stands


@pytest.mark.parametrize(("preference", "strength", "expected"), [("a", -2, -2), ("a", 2, -2), ("b", 2, 2)])
def test_strength_may_be_signed_or_a_size(preference, strength, expected):
    parsed = parse("concord", pair(labels=[{"annotator": "x", "preference": preference, "strength": strength}]))
    assert (codes(parsed), parsed.row.opinions[0].strength) == ([], expected)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"response_a": True}, "response_not_text"),
        ({"response_a": 3.5}, "response_not_text"),
        ({"response_a": "True"}, "response_literal"),
        ({"response_a": " \n"}, "response_empty"),
        ({"response_a": "five"}, "responses_identical"),
        ({"prompt": ""}, "prompt_empty"),
        ({"gold": "left"}, "gold_unknown"),
        ({"labels": "a"}, "labels_malformed"),
        ({"labels": [{"annotator": "x", "preference": "left"}]}, "label_preference_unknown"),
        ({"labels": [{"preference": "a"}]}, "label_malformed"),
        ({"labels": [7]}, "label_malformed"),
        ({"labels": [{"annotator": "x", "preference": "a", "strength": "much"}]}, "strength_malformed"),
        ({"meta": [1]}, "metadata_malformed"),
        ({"meta": {"small": 1, "large": "x" * 100_000}}, "metadata_too_large"),
        ({"labels": [{"annotator": "x", "preference": "a", "trace": "x" * 100_000}]}, "detail_too_large"),
    ],
)
def test_a_fault_in_a_part_is_named_and_the_pair_goes_in(fields, code):
    parsed = parse("concord", pair(**fields))
    assert codes(parsed) == [code]
    assert isinstance(parsed.row, PairRow)
    assert not parsed.faults[0].fatal


def test_json_true_is_stored_as_its_text():
    assert parse("concord", pair(response_a=True)).row.response_a == [assistant("true")]


def test_gold_on_identical_responses_is_named():
    assert codes(parse("concord", pair(response_a="x", response_b="x", gold="tie"))) == [
        "responses_identical",
        "gold_on_identical",
    ]


def test_of_too_much_metadata_the_small_fields_stay():
    assert parse("concord", pair(meta={"small": 1, "large": "x" * 100_000})).row.metadata == {"small": 1}


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"response_b": None}, "field_missing", "response_b"),
        ({"prompt": {"text": "hi"}}, "prompt_malformed", "prompt"),
        ({"prompt": []}, "prompt_malformed", "prompt"),
        ({"prompt": [{"content": "hi"}]}, "prompt_malformed", "prompt[0]"),
        ({"prompt": [{"role": "robot", "content": "hi"}]}, "prompt_malformed", "prompt[0].role"),
        ({"prompt": [{"role": "user", "content": [{"type": "text"}]}]}, "prompt_malformed", "prompt[0].content[0]"),
        ({"response_a": {"text": "hi"}}, "response_malformed", "response_a"),
        ({"id": 1.5}, "id_malformed", "id"),
        ({"id": "x" * 201}, "id_malformed", "id"),
    ],
)
def test_a_row_that_cannot_be_a_pair_is_refused_with_its_field(fields, code, field):
    parsed = parse("concord", pair(**fields))
    assert parsed.row is None
    assert [(fault.code, fault.field, fault.fatal) for fault in parsed.faults] == [(code, field, True)]


def test_messages_keep_images_and_tool_calls_and_drop_empty_keys():
    turns = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}],
            "name": None,
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    ]
    found = parse("concord", pair(prompt=turns)).row.prompt
    assert found == [{"role": "user", "content": turns[0]["content"]}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]


# Verdicts


def verdict(**fields):
    return {
        "id": "v1",
        "pair_id": "p1",
        "judge_model": "gpt",
        "method": "m",
        "order": "ba",
        "raw": "[[A]]",
        "verdict": "b",
        **fields,
    }


def test_a_verdict_becomes_a_judgment_with_order_and_raw_text():
    parsed = parse("verdicts", verdict(verdict_position="first", scores={"1": 3}))
    opinion = parsed.row.opinion
    assert (codes(parsed), parsed.row.pair_id) == ([], "p1")
    assert (opinion.judge_key, opinion.strength, opinion.order, opinion.raw) == (("llm_judge", "gpt", "m"), 1, "ba", "[[A]]")
    assert opinion.detail["scores"] == {"1": 3}


def test_a_null_verdict_is_unreadable_and_not_a_tie():
    opinion = parse("verdicts", verdict(verdict=None, raw=None)).row.opinion
    assert (opinion.strength, opinion.tie_kind, opinion.raw) == (None, "unreadable", "")


@pytest.mark.parametrize(
    ("position", "order", "strength"), [("first", "ab", -1), ("first", "ba", 1), ("second", "ba", -1), ("tie", "ba", 0)]
)
def test_a_position_alone_is_mapped_back_by_the_order(position, order, strength):
    row = verdict(verdict_position=position, order=order)
    del row["verdict"]
    assert parse("verdicts", row).row.opinion.strength == strength


def test_a_verdict_against_its_position_is_reported_and_stands():
    parsed = parse("verdicts", verdict(verdict="a", verdict_position="first"))
    assert codes(parsed) == ["verdict_contradicts_position"]
    assert parsed.row.opinion.strength == -1


@pytest.mark.parametrize("fields", [{"verdict": "left"}, {"order": "xy"}, {"raw": 5}, {"judge_model": None}, {"pair_id": [1]}])
def test_a_verdict_that_cannot_be_understood_is_refused(fields):
    assert parse("verdicts", verdict(**fields)).row is None


# TRL preference


def sides(parsed):
    """(prompt, chosen, rejected) as texts, whatever side they were stored on."""
    row, label = parsed.row, parsed.row.opinions[0]
    both = [row.response_a, row.response_b]
    chosen, rejected = both if label.strength < 0 else reversed(both)
    assert (label.kind, label.name) == ("imported", "stored label")
    return [turn["content"] for turn in row.prompt], [turn["content"] for turn in chosen], [turn["content"] for turn in rejected]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Hi?", "chosen": "yes", "rejected": "no"}, (["Hi?"], ["yes"], ["no"])),
        ({"prompt": [user("Hi?")], "chosen": [assistant("yes")], "rejected": [assistant("no")]}, (["Hi?"], ["yes"], ["no"])),
        ({"chosen": [user("Hi?"), assistant("yes")], "rejected": [user("Hi?"), assistant("no")]}, (["Hi?"], ["yes"], ["no"])),
        # A prompt column that both conversations repeat
        (
            {"prompt": "Hi?", "chosen": [user("Hi?"), assistant("yes")], "rejected": [user("Hi?"), assistant("no")]},
            (["Hi?"], ["yes"], ["no"]),
        ),
        # Same first answer, different second one
        (
            {
                "chosen": [user("1"), assistant("2"), user("3"), assistant("y")],
                "rejected": [user("1"), assistant("2"), user("3"), assistant("n")],
            },
            (["1", "2", "3"], ["y"], ["n"]),
        ),
        ({"chosen": "\n\nHuman: Hi\n\nAssistant: Hello you", "rejected": "\n\nHuman: Hi\n\nAssistant: Hell no"},
         (["\n\nHuman: Hi\n\nAssistant: "], ["Hello you"], ["Hell no"])),
        ({"chosen": "Name a colour.\nred", "rejected": "Name a colour.\nreddish"}, (["Name a colour.\n"], ["red"], ["reddish"])),
        ({"chosen": "Is it hot? Yes it is", "rejected": "Is it hot? Yesterday"}, (["Is it hot? "], ["Yes it is"], ["Yesterday"])),
    ],
)  # fmt: skip
def test_every_trl_form_gives_prompt_chosen_and_rejected(row, expected):
    assert sides(parse("preference", row)) == expected


@pytest.mark.parametrize(
    "row",
    [
        {"chosen": "yes", "rejected": "no"},
        {"chosen": "same same", "rejected": "same same"},
        {"chosen": [user("a"), assistant("x")], "rejected": [user("b"), assistant("x")]},
        {"chosen": [user("a")], "rejected": [user("a")]},
    ],
)
def test_without_a_shared_beginning_there_is_no_prompt(row):
    assert codes(parse("preference", row)) == ["no_shared_prompt"]


def test_position_does_not_carry_the_label():
    rows = [parse("preference", {"prompt": "q", "chosen": f"yes {n}", "rejected": f"no {n}"}).row for n in range(60)]
    first = sum(row.opinions[0].strength < 0 for row in rows)
    assert 15 < first < 45
    turned = parse("preference", {"prompt": "q", "chosen": "no 1", "rejected": "yes 1"}).row
    assert turned.response_a == rows[1].response_a
    assert turned.opinions[0].strength == -rows[1].opinions[0].strength
    assert turned.external_id != rows[1].external_id


def test_margins_and_scores_are_kept_and_other_columns_are_metadata():
    row = {
        "prompt": "q",
        "chosen": "y",
        "rejected": "n",
        "margin": 2.0,
        "score_chosen": 8,
        "score_rejected": 6,
        "topic": "t",
        "id": 5,
    }
    parsed = parse("preference", row)
    label = parsed.row.opinions[0]
    assert (abs(label.strength), label.detail) == (2, {"margin": 2.0, "score_chosen": 8, "score_rejected": 6})
    assert (parsed.row.metadata, parsed.row.external_id) == ({"topic": "t"}, "5")
    assert codes(parse("preference", {**row, "margin": -1, "score_rejected": 9})) == ["margin_contradicts_label"] * 2


def test_pairs_of_one_prompt_id_stay_apart():
    rows = [parse("preference", {"prompt": "q", "prompt_id": "P", "chosen": text, "rejected": "n"}).row for text in ("y", "z")]
    assert rows[0].external_id != rows[1].external_id
    assert all(row.external_id.startswith("P/") for row in rows)


# Whatever comes


def test_the_shape_is_told_by_the_commonest_of_the_first_rows():
    assert detect([pair(), {"x": 1}, {"chosen": 1, "rejected": 2}, pair()]) == "concord"
    assert detect([verdict()]) == "verdicts"
    assert detect([{"chosen": "a", "rejected": "b"}]) == "preference"
    assert detect([{"x": 1}]) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
        ["", "a", "b", "tie", "ab", "first", "user", "assistant", "text", "x y\nAssistant: z"]
    ) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(
        st.sampled_from(["role", "content", "type", "text", "annotator", "preference", "strength", "rationale", "rating_a"]),
        inner, max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
FIELDS = [
    "id", "prompt", "response_a", "response_b", "labels", "gold", "meta", "chosen", "rejected", "margin", "score_chosen",
    "score_rejected", "prompt_id", "pair_id", "judge_model", "method", "order", "raw", "verdict", "verdict_position", "other",
]  # fmt: skip


NEEDED = {
    "concord": ["prompt", "response_a", "response_b", "labels"],
    "verdicts": ["pair_id", "judge_model", "verdict"],
    "preference": ["chosen", "rejected"],
}


@st.composite
def rows(draw):
    """(shape, row): now and then without what the shape needs, mostly with it."""
    shape = draw(st.sampled_from(SHAPES))
    needed = dict.fromkeys(NEEDED[shape], json_values) if draw(st.integers(0, 4)) else {}
    further = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3)
    return shape, {**draw(further), **draw(st.fixed_dictionaries(needed))}


@settings(max_examples=250, deadline=None)
@given(rows())
def test_any_object_gives_a_row_or_a_fault(given_row):
    shape, row = given_row
    parsed = parse(shape, row)
    detect([row])
    if parsed.row is None:
        assert any(fault.fatal for fault in parsed.faults)
        return
    opinions = [parsed.row.opinion] if isinstance(parsed.row, VerdictRow) else parsed.row.opinions
    for opinion in opinions:
        assert opinion.strength in (None, -3, -2, -1, 0, 1, 2, 3)
        assert (opinion.strength is None) == (opinion.tie_kind in ("unreadable", "cannot_judge"))
        assert (opinion.strength == 0) == (opinion.tie_kind in ("tie", "both_bad"))
        assert 0 < len(opinion.name) <= 200
        canonical_json(opinion.detail)
    for fault in parsed.faults:
        assert len(fault.excerpt) <= 300
        assert len(fault.field) <= 100
