"""The disagreement list, and sending its pairs to people."""

import re

import pytest
from django.urls import reverse

from curation import judgments, listing, people
from curation.models import Consensus, Dataset, JudgeKind, Pair, Pool
from curation.types import STORED_LABEL
from tests.builders import make_pair


def consensus(
    pair: Pair, a: float, tie: float, b: float, *, disagreement: float, method: str = "dawid_skene", n: int = 3
) -> None:
    Consensus.objects.create(
        dataset=pair.dataset, pair=pair, method=method, probability_a=a, probability_tie=tie, probability_b=b,
        n_judgments=n, disagreement=disagreement,
    )  # fmt: skip


@pytest.fixture
def pairs(dataset) -> list[Pair]:
    """Thirty pairs: every fourth has the same disagreement; stored labels say A on even ones, nothing on odd ones."""
    stored = judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
    other = make_pair(people.get_or_create_dataset(dataset.workspace, "other"), 1)
    consensus(other, 0.0, 0.0, 1.0, disagreement=1.0)
    made = []
    for number in range(30):
        pair = make_pair(dataset, number)
        consensus(pair, 1 - number / 30, 0.0, number / 30, disagreement=(number // 4) / 10)
        if number % 2 == 0:
            judgments.record(pair, stored, strength=-1)
        made.append(pair)
    return made


@pytest.fixture
def editor(client, curator):
    client.force_login(curator)
    return client


def url(dataset: Dataset, query: str = "", name: str = "disagreement") -> str:
    return reverse(name, args=(dataset.workspace.slug, dataset.slug)) + query


def listed(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<th scope="row" class="cell-id"><a href="[^"]*/pairs/(\d+)/', page)]


def walk(client, dataset: Dataset, query: str, rel: str = "next") -> tuple[list[int], str]:
    """Ids over all pages, following next links, and the address of the last page."""
    ids: list[int] = []
    while True:
        page = client.get(url(dataset, query)).content.decode()
        ids += listed(page)
        found = re.search(rf'rel="{rel}" href="([^"]*)"', page)
        if not found:
            return ids, query
        query = found[1].replace("&amp;", "&")


def test_every_pair_is_listed_once_with_most_disagreement_first(editor, dataset, pairs, monkeypatch):
    monkeypatch.setattr(listing, "PAGE_SIZES", (7,))
    ids, last = walk(editor, dataset, "?sort=disagreement")
    assert ids == [pair.pk for pair in sorted(pairs, key=lambda pair: (-((pairs.index(pair)) // 4), pair.pk))]
    back, _ = walk(editor, dataset, last, rel="prev")
    assert len(back) == 30
    assert set(back) == set(ids)


def test_stored_labels_most_contradicted_come_first_and_pairs_without_one_are_left_out(editor, dataset, pairs):
    ids, _ = walk(editor, dataset, "?sort=contradicted&size=25")
    assert ids == [pair.pk for pair in reversed(pairs[::2])]


def test_filters_and_methods(editor, dataset, pairs, annotator):
    person = judgments.human_judge(dataset.workspace, annotator)
    judgments.record(pairs[3], person, strength=1)
    Pair.objects.filter(pk=pairs[7].pk).update(pool=Pool.SILVER)
    consensus(pairs[9], 0.4, 0.2, 0.4, disagreement=0.9, method="majority", n=8)
    for query, wanted in {
        "?people=1": [pairs[3]],
        "?pool=silver": [pairs[7]],
        "?method=majority": [pairs[9]],
        "?method=majority&least=9": [],
        "?method=majority&least=8": [pairs[9]],
    }.items():
        assert listed(editor.get(url(dataset, query)).content.decode()) == [pair.pk for pair in wanted], query


def test_a_mangled_link_shows_the_list(editor, dataset, pairs):
    for query in ("?after=nan:1", "?after=x", "?before=0.5:x", "?least=-3&sort=drop%20table", "?after=inf:2&method=none"):
        assert len(listed(editor.get(url(dataset, query)).content.decode())) == 25, query


def test_the_list_costs_the_same_few_queries_whatever_its_size(editor, dataset, pairs, django_assert_max_num_queries):
    with django_assert_max_num_queries(15):
        editor.get(url(dataset, "?size=100&sort=contradicted"))


def test_without_a_consensus_the_page_says_what_to_do(editor, dataset):
    make_pair(dataset, 1)
    page = editor.get(url(dataset)).content.decode()
    assert url(dataset, name="recipe_start") in page


def test_chosen_pairs_go_to_people_once_and_others_pairs_never(editor, dataset, pairs):
    foreign = Pair.objects.exclude(dataset=dataset).get()
    chosen = [pairs[4].pk, pairs[2].pk]
    editor.post(url(dataset, name="review_open"), {"pair": [*chosen, foreign.pk, "x"], "overlap": "2"})
    batch = dataset.review_batches.get()
    assert (batch.overlap, set(batch.items.values_list("pair", flat=True))) == (2, set(chosen))
    page = editor.post(url(dataset, name="review_open"), {"pair": chosen}, follow=True).content.decode()
    assert "asked about these pairs already" in page
    assert dataset.review_batches.filter(closed_at=None).count() == 1
    page = editor.post(url(dataset, name="review_open"), {}, follow=True).content.decode()
    assert "choose at least one pair" in page
