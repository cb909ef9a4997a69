"""The guideline page and a person's own work."""

import pytest
from django.urls import reverse

from annotate import guidelines, slots
from annotate.models import Guideline
from curation import judgments, people
from curation.models import Judgment
from tests.annotate.batches import batch_of


def url(name, dataset, *more):
    return reverse(name, args=[dataset.workspace.slug, dataset.slug, *more])


@pytest.fixture
def alice(client, annotator):
    client.force_login(annotator)
    return client


def answered(dataset, user, n, strength=-2):
    for _ in range(n):
        slots.submit(slots.claim(dataset, user), user, slots.Answer(strength=strength, rationale="because", seconds=4))


def test_a_new_dataset_has_a_guideline_and_curators_replace_it(client, dataset, curator):
    other = people.get_or_create_dataset(dataset.workspace, "other")
    client.force_login(curator)
    assert "What to judge" in client.get(url("guideline", dataset)).content.decode()
    client.post(url("guideline", dataset), {"text": "Be *kind*."})
    html = client.get(url("guideline", dataset)).content.decode()
    assert "Be <em>kind</em>." in html
    assert "What to judge" in client.get(url("guideline", dataset) + "?version=1").content.decode()
    assert guidelines.in_force(other).text == guidelines.DEFAULT_TEXT


def test_saving_an_unchanged_guideline_makes_no_version(client, dataset, curator):
    client.force_login(curator)
    text = guidelines.in_force(dataset).text.replace("\n", "\r\n")
    client.post(url("guideline", dataset), {"text": text})
    assert Guideline.objects.filter(dataset=dataset).count() == 1


def test_an_empty_guideline_is_refused_with_words(client, dataset, curator):
    client.force_login(curator)
    assert "cannot be empty" in client.post(url("guideline", dataset), {"text": " "}).content.decode()


@pytest.mark.parametrize("version", ["9", "x", "-1", "99999999999999999999"])
def test_an_unknown_version_is_not_found(alice, dataset, version):
    assert alice.get(url("guideline", dataset), {"version": version}).status_code == 404


def test_own_work_lists_own_answers_only(alice, dataset, annotator, annotator_two):
    batch_of(dataset, 3, overlap=2)
    answered(dataset, annotator, 2)
    answered(dataset, annotator_two, 1, strength=3)
    html = alice.get(url("my_work", dataset)).content.decode()
    assert html.count("Left better") == 2 + 2  # each once in the table and once in its link's name
    assert "Right much better" not in html


def test_own_work_pages_through_a_long_history(alice, dataset, annotator):
    batch_of(dataset, 60)
    answered(dataset, annotator, 60)
    first = alice.get(url("my_work", dataset))
    second = alice.get(url("my_work", dataset), {"before": first.context["older"]})
    seen = [row["judgment"].pk for page in (first, second) for row in page.context["rows"]]
    assert len(seen) == len(set(seen)) == 60
    assert second.context["older"] is None


def test_an_answer_can_be_changed_and_the_old_one_stays_in_the_ledger(alice, dataset, annotator):
    batch_of(dataset, 1)
    answered(dataset, annotator, 1)
    first = Judgment.objects.get()
    page = alice.get(url("my_answer", dataset, first.pk)).content.decode()
    assert "because" in page
    response = alice.post(url("my_answer", dataset, first.pk), {"verdict": "7", "rationale": "on second thought"})
    assert response.status_code == 302
    [changed] = judgments.current(dataset)
    assert changed.supersedes == first
    assert changed.strength == (3 if first.order_shown == "ab" else -3)
    assert changed.rationale == "on second thought"
    assert "Right much better" in alice.get(url("my_work", dataset)).content.decode()


def test_changing_needs_an_answer_and_keeps_what_was_typed(alice, dataset, annotator):
    batch_of(dataset, 1)
    answered(dataset, annotator, 1)
    response = alice.post(url("my_answer", dataset, Judgment.objects.get().pk), {"rationale": "hm"})
    assert response.status_code == 422
    assert "hm</textarea>" in response.content.decode()


def test_other_peoples_and_taken_back_answers_cannot_be_opened(alice, dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    answered(dataset, annotator_two, 1)
    theirs = Judgment.objects.get()
    assert alice.get(url("my_answer", dataset, theirs.pk)).status_code == 404
    assert alice.post(url("my_answer", dataset, theirs.pk), {"verdict": "1"}).status_code == 404
    answered(dataset, annotator, 1)
    mine = Judgment.objects.get(judge__user=annotator)
    slots.undo(annotator, dataset)
    assert alice.get(url("my_answer", dataset, mine.pk)).status_code == 404
    assert "You have not judged anything" in alice.get(url("my_work", dataset)).content.decode()
