"""The pair list, the page of one pair, and decisions by hand."""

import re

import pytest
from django.urls import reverse

from curation import decisions, judgments, people
from curation.models import Consensus, Dataset, Judge, JudgeKind, Pair, Reward
from curation.types import STORED_LABEL
from tests.builders import make_pair

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def stored_judge(dataset: Dataset) -> Judge:
    return judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})


def llm(dataset: Dataset, name: str = "judge-7b") -> Judge:
    return judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, name, spec={"model": name})


@pytest.fixture
def many(dataset) -> list[Pair]:
    """Sixty pairs, every third one with a stored label for A, beside another dataset's pairs of the same external ids."""
    other = people.get_or_create_dataset(dataset.workspace, "other")
    pairs = []
    for number in range(60):
        pairs.append(make_pair(dataset, number))
        if number % 10 == 5:
            make_pair(other, number)
        if number % 3 == 0:
            judgments.record(pairs[-1], stored_judge(dataset), strength=-1)
    return pairs


@pytest.fixture
def reader(client, viewer):
    client.force_login(viewer)
    return client


@pytest.fixture
def editor(client, curator):
    client.force_login(curator)
    return client


def url(name: str, dataset: Dataset, *more: object, query: str = "") -> str:
    return reverse(name, args=(dataset.workspace.slug, dataset.slug, *more)) + query


def listed(page: str) -> list[int]:
    """Ids of the pairs that a list page links to, in order."""
    return [int(found) for found in re.findall(r'<th scope="row" class="cell-id"><a href="[^"]*/pairs/(\d+)/', page)]


def link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
    return found[1].replace("&amp;", "&") if found else None


def test_paging_shows_every_pair_of_this_dataset_once_and_leads_back(reader, dataset, many):
    pages, query = [], "?size=25"
    while query:
        page = reader.get(url("pairs", dataset, query=query)).content.decode()
        pages.append(listed(page))
        last, query = query, link(page, "next")
    assert [pk for page in pages for pk in page] == [pair.pk for pair in many]
    assert [len(page) for page in pages] == [25, 25, 10]
    back = link(reader.get(url("pairs", dataset, query=last)).content.decode(), "prev")
    page = reader.get(url("pairs", dataset, query=back)).content.decode()
    assert listed(page) == pages[1]
    assert listed(reader.get(url("pairs", dataset, query=link(page, "prev"))).content.decode()) == pages[0]


def test_filters_narrow_the_list_and_survive_paging(reader, dataset, many, curator):
    for pair in many[:30]:
        decisions.decide_one(pair, user=curator, action="drop", reason="too_short")
    for query, wanted in {
        "?pool=discarded&size=100": many[:30],
        "?pool=unverified&size=100": many[30:],
        "?action=drop&reason=too_short&size=100": many[:30],
        "?reason=other_reason": [],
        "?q=pair-5": [many[5], *many[50:60]],
    }.items():
        assert listed(reader.get(url("pairs", dataset, query=query)).content.decode()) == [pair.pk for pair in wanted], query
    page = reader.get(url("pairs", dataset, query="?pool=discarded&size=25")).content.decode()
    assert "pool=discarded" in link(page, "next")


def test_a_reason_that_a_later_decision_replaced_no_longer_finds_the_pair(reader, dataset, many, curator):
    decisions.decide_one(many[0], user=curator, action="drop", reason="too_short")
    decisions.decide_one(many[0], user=curator, action="keep", reason="looked_again", strength=-1)
    assert listed(reader.get(url("pairs", dataset, query="?reason=too_short")).content.decode()) == []
    assert listed(reader.get(url("pairs", dataset, query="?reason=looked_again")).content.decode()) == [many[0].pk]


def test_pairs_are_found_by_how_a_judge_stands_to_the_stored_label(reader, dataset, many):
    judge = llm(dataset)
    judgments.record(many[0], judge, strength=2)  # stored: A
    judgments.record(many[3], judge, strength=-2)
    judgments.record(many[6], judge, strength=0, tie_kind="tie")
    judgments.record(many[9], judge, strength=None, tie_kind="unreadable", raw_output="?")
    judgments.record(many[1], judge, strength=2)  # no stored label
    changed = judgments.record(many[12], judge, strength=2)
    judgments.retract(changed)
    for relation, wanted in {"contradicts": [0, 6], "agrees": [3], "tie": [6], "unreadable": [9], "": [0, 1, 3, 6, 9]}.items():
        page = reader.get(url("pairs", dataset, query=f"?judge={judge.pk}&relation={relation}")).content.decode()
        found = [many.index(pair) for pair in many if pair.pk in listed(page)]
        assert found == wanted, relation


def test_a_mangled_link_shows_the_list(reader, dataset, many):
    for query in ("?after=x&size=-1&pool=nowhere&judge=%00&relation=', '", "?before=99999999999999999999", "?q=%00"):
        assert reader.get(url("pairs", dataset, query=query)).status_code == 200


def test_the_list_costs_the_same_few_queries_whatever_its_size(reader, dataset, many, django_assert_max_num_queries):
    judge = llm(dataset)
    for pair in many:
        judgments.record(pair, judge, strength=1)
    with django_assert_max_num_queries(14):
        reader.get(url("pairs", dataset, query="?size=100"))


def test_text_of_a_dataset_or_a_model_is_never_executed(editor, dataset, curator):
    pair = make_pair(dataset, 1, prompt=HOSTILE, a=HOSTILE, b=f"b {HOSTILE}", external_id=HOSTILE, metadata={HOSTILE: HOSTILE})
    judge = judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, HOSTILE, method=HOSTILE, spec={"model": 1})
    judgments.record(pair, judge, strength=1, rationale=HOSTILE, raw_output=HOSTILE, detail={"x": HOSTILE})
    decisions.decide_one(pair, user=curator, action="drop", note=HOSTILE)
    for address in (url("pair", dataset, pair.pk), url("pairs", dataset), url("disagreement", dataset), url("dataset", dataset)):
        page = editor.get(address).content.decode()
        assert "<script>alert" not in page
        assert "<img" not in page


def test_a_pair_page_tells_everything_that_was_said(reader, dataset, many, annotator):
    pair = many[0]
    person = judgments.human_judge(dataset.workspace, annotator)
    first = judgments.record(pair, person, strength=3, rationale="B has the right sum.", order_shown="ba", seconds=12.5)
    judgments.record(pair, person, strength=-2, rationale="No, A.", order_shown="ba", supersedes=first)
    judgments.record(pair, llm(dataset), strength=None, tie_kind="unreadable", raw_output="I cannot decide", order_shown="ab")
    reward_judge = judgments.model_judge(dataset.workspace, JudgeKind.REWARD_MODEL, "head", spec={"seed": 1})
    Reward.objects.create(response=pair.response_a, judge=reward_judge, value=0.25)
    Reward.objects.create(response=pair.response_b, judge=reward_judge, value=1.5)
    Consensus.objects.create(
        dataset=dataset, pair=pair, method="dawid_skene", probability_a=0.7, probability_tie=0.1, probability_b=0.2,
        n_judgments=3, disagreement=0.41,
    )  # fmt: skip
    page = reader.get(url("pair", dataset, pair.pk)).content.decode()
    for text in ("alice", "B has the right sum.", "No, A.", "replaced later", "A better", "B shown first", "I cannot decide"):
        assert text in page, text
    for text in ("answer could not be read", "judge-7b", "1.25", "70.0 %", "0.41", "What is 0 + 0?", "A shown first"):
        assert text in page, text
    assert page.index("B has the right sum.") < page.index("No, A.")
    assert '<span class="struck">B much better</span>' in page


def test_versions_of_a_judge_are_told_apart_and_the_older_one_is_named_so(reader, dataset, many):
    old, new, alone = (
        judgments.model_judge(dataset.workspace, JudgeKind.REWARD_MODEL, name, spec={"seed": seed})
        for name, seed in (("head", 1), ("head", 2), ("other", 3))
    )
    for judge in (old, new, alone):
        Reward.objects.create(response=many[0].response_a, judge=judge, value=0.0)
        Reward.objects.create(response=many[0].response_b, judge=judge, value=1.0)
        judgments.record(many[0], judge, strength=1)
    for address in (url("pair", dataset, many[0].pk), url("dataset", dataset)):
        page = reader.get(address).content.decode()
        assert [row.count("older") for row in re.findall(r'<tr class="is-older">.*?</tr>', page, re.S)] == [2]
        assert old.version[:7] in page
        assert new.version[:7] in page
        assert alone.version[:7] not in page


def test_neighbours_stay_within_the_filters_of_the_list(reader, dataset, many):
    page = reader.get(url("pair", dataset, many[5].pk, query="?q=pair-5")).content.decode()
    assert link(page, "next") == url("pair", dataset, many[50].pk, query="?q=pair-5")
    assert link(page, "prev") is None


@pytest.mark.parametrize(
    ("choice", "pool", "label"), [("a", "gold", -1.0), ("b", "gold", 1.0), ("tie", "gold", 0.0), ("drop", "discarded", None)]
)
def test_a_curator_decides_by_hand_and_takes_it_back(editor, dataset, many, choice, pool, label):
    pair = many[0]
    response = editor.post(url("pair_decide", dataset, pair.pk, query="?pool=unverified"), {"choice": choice, "note": "Checked."})
    assert response.url == url("pair", dataset, pair.pk, query="?pool=unverified")
    pair.refresh_from_db()
    assert (pair.pool, decisions.label_in_force(pair)) == (pool, label)
    assert "Checked." in editor.get(url("pair", dataset, pair.pk)).content.decode()
    editor.post(url("pair_decide", dataset, pair.pk), {"choice": "undo"})
    pair.refresh_from_db()
    assert pair.pool == "unverified"


def test_a_choice_that_does_not_exist_changes_nothing(editor, dataset, many):
    response = editor.post(url("pair_decide", dataset, many[0].pk), {"choice": "explode"}, follow=True)
    assert "There is no choice" in response.content.decode()
    assert not many[0].decisions.exists()


def test_a_decision_sent_twice_or_from_an_old_page_is_made_once(editor, dataset, many):
    pair, address = many[0], url("pair_decide", dataset, many[0].pk)
    for choice in ("drop", "b"):
        seen = re.search(r'name="seen" value="(\d+)"', editor.get(url("pair", dataset, pair.pk)).content.decode())[1]
        for _ in range(2):
            page = editor.post(address, {"choice": choice, "seen": seen}, follow=True).content.decode()
        assert "decided since the page was loaded" in page
    assert pair.decisions.count() == 2
    seen = pair.decisions.latest("id").pk
    for _ in range(2):  # an undo sent twice must not take back the decision before it, too
        editor.post(address, {"choice": "undo", "seen": seen})
    pair.refresh_from_db()
    assert (pair.decisions.count(), pair.pool) == (3, "discarded")


@pytest.mark.parametrize("name", ["pool", "action", "reason", "q", "judge", "relation", "after", "before", "size"])
@pytest.mark.parametrize("value", ["a\x00b", "9" * 30, "-1"])
def test_no_query_breaks_the_list_or_a_pair(reader, dataset, many, name, value):
    assert reader.get(url("pairs", dataset), {name: value}).status_code == 200
    assert reader.get(url("pair", dataset, many[0].pk), {name: value}).status_code == 200


def test_a_note_may_hold_anything(editor, dataset, many):
    editor.post(url("pair_decide", dataset, many[0].pk), {"choice": "drop", "note": "a\x00b", "seen": "9" * 40})
    assert many[0].decisions.get().detail == {"note": "ab"}
