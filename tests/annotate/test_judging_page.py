import uuid
from html import unescape
from re import search

import pytest
from django.urls import reverse

from annotate import guidelines, slots
from annotate.models import Skip, Slot
from curation import judgments, people
from curation.models import JudgeKind, Judgment
from tests.annotate.batches import batch_of, expire, open_batch
from tests.builders import make_pair


def url(name, dataset, *more):
    return reverse(name, args=[dataset.workspace.slug, dataset.slug, *more])


@pytest.fixture
def alice(client, annotator):
    client.force_login(annotator)
    return client


def field(html, name):
    return unescape(search(rf'name="{name}" value="([^"]*)"', html).group(1))


def on_screen(client, dataset):
    """The hidden fields of the form now on the judging page."""
    html = client.get(url("judge", dataset)).content.decode()
    return {name: field(html, name) for name in ("ticket", "client_id")}


def submit(client, dataset, verdict, *, htmx=False, **fields):
    sent = {**on_screen(client, dataset), "verdict": verdict, **fields}
    return client.post(url("judge_submit", dataset), sent, headers={"hx-request": "true"} if htmx else {})


def test_the_page_shows_prompt_and_both_responses(alice, dataset):
    open_batch(dataset, [make_pair(dataset, prompt="Why is **rain** wet?", a="Because `H2O`.", b="")])
    html = alice.get(url("judge", dataset)).content.decode()
    assert "<strong>rain</strong>" in html
    assert "<code>H2O</code>" in html
    assert "Response 1 (left)" in html
    assert "Response 2 (right)" in html


def test_nothing_of_any_other_opinion_reaches_the_annotator(alice, dataset, annotator, annotator_two):
    pair = make_pair(dataset, metadata={"model_a": "secret-model-name"}, external_id="gpt4-vs-secret")
    [other] = [make_pair(dataset, 1)]
    label = judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, "stored secret label", spec={})
    judge = judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, "secret-judge-model", spec={"v": 1})
    judgments.record(pair, label, strength=-2)
    judgments.record(pair, judge, strength=2, rationale="secret machine rationale", raw_output="secret raw output")
    open_batch(dataset, [pair, other], overlap=2)
    theirs = slots.claim(dataset, annotator_two)
    slots.submit(theirs, annotator_two, slots.Answer(strength=1, rationale="secret human rationale"))
    body = alice.get(url("judge", dataset)).content.decode()
    form = on_screen(alice, dataset)
    sent = {**form, "verdict": "2", "rationale": "my own"}
    answers = [
        body,
        alice.post(url("judge_draft", dataset), sent).content.decode(),
        alice.post(url("judge_renew", dataset), form).content.decode(),
        alice.post(url("judge_submit", dataset), sent, headers={"hx-request": "true"}).content.decode(),
        alice.post(url("judge_undo", dataset), headers={"hx-request": "true"}).content.decode(),
        alice.get(url("my_work", dataset)).content.decode(),
    ]
    for answer in answers:
        assert "secret" not in answer
        assert "bob" not in answer


def test_without_scripts_an_answer_is_stored_and_the_page_comes_back(alice, dataset, annotator):
    batch_of(dataset, 2)
    slot = slots.claim(dataset, annotator)
    response = submit(alice, dataset, "6", rationale="  right is shorter  ", seconds="0.0")
    assert response.status_code == 302
    stored = Judgment.objects.get()
    assert stored.strength == (2 if slot.left == "a" else -2)
    assert stored.rationale == "right is shorter"
    assert stored.guideline == "v1"
    page = alice.get(response.url).content.decode()
    assert "Saved: Right better." in page
    assert "Pair to judge" in page


def test_with_htmx_the_next_pair_comes_as_a_fragment_that_says_what_was_stored(alice, dataset):
    batch_of(dataset, 2)
    response = submit(alice, dataset, "4", htmx=True)
    html = response.content.decode()
    assert response["X-Concord-Task"] == "saved"
    assert "Saved: Equally good." in html
    assert "<html" not in html
    assert 'id="task"' in html
    assert 'id="own-progress" hx-swap-oob="true"' in html


def test_posting_a_form_twice_stores_one_answer_and_says_so(alice, dataset):
    batch_of(dataset, 2)
    sent = {**on_screen(alice, dataset), "verdict": "1"}
    for _ in range(2):
        response = alice.post(url("judge_submit", dataset), sent, headers={"hx-request": "true"})
        assert response.status_code == 200
    assert response["X-Concord-Task"] == "repeated"
    assert Judgment.objects.count() == 1


def test_a_form_without_an_answer_comes_back_with_what_was_typed(alice, dataset):
    batch_of(dataset, 1)
    sent = {**on_screen(alice, dataset), "rationale": "half done"}
    response = alice.post(url("judge_submit", dataset), sent)
    assert response.status_code == 422
    html = response.content.decode()
    assert "half done" in html
    assert "Choose an answer first" in html
    assert not Judgment.objects.exists()


def test_an_overlong_rationale_is_refused_but_not_lost(alice, dataset):
    batch_of(dataset, 1)
    response = submit(alice, dataset, "1", rationale="x" * 5001, htmx=True)
    assert response["X-Concord-Task"] == "again"
    assert "x" * 5001 in response.content.decode()
    assert not Judgment.objects.exists()


def test_cannot_judge_keeps_its_reason_and_other_answers_drop_it(alice, dataset):
    batch_of(dataset, 2)
    submit(alice, dataset, "cannot_judge", reason="language")
    submit(alice, dataset, "both_bad", reason="language")
    first, second = Judgment.objects.order_by("id")
    assert (first.strength, first.tie_kind, first.detail) == (None, "cannot_judge", {"reason": "language"})
    assert (second.strength, second.tie_kind, second.detail) == (0, "both_bad", {})


def test_looking_time_is_bounded_by_the_time_since_the_pair_was_handed_out(alice, dataset):
    batch_of(dataset, 1)
    submit(alice, dataset, "1", seconds="50000")
    assert Judgment.objects.get().seconds < 60


def test_a_draft_survives_a_reload(alice, dataset):
    batch_of(dataset, 1)
    draft = {**on_screen(alice, dataset), "verdict": "3", "rationale": "I was just about to say <b>", "at": "17"}
    assert alice.post(url("judge_draft", dataset), draft).json() == {"saved": True}
    html = alice.get(url("judge", dataset)).content.decode()
    assert "I was just about to say &lt;b&gt;" in html
    assert search(r'value="3"[^>]*checked', html)
    assert 'data-draft-at="17"' in html


def test_a_late_answer_is_thanked_for_and_kept(alice, dataset, annotator, annotator_two):
    batch_of(dataset, 1)
    sent = {**on_screen(alice, dataset), "verdict": "1"}
    seen_left = Slot.objects.get().left
    expire(Slot.objects.get())
    theirs = slots.claim(dataset, annotator_two)
    slots.submit(theirs, annotator_two, slots.Answer(strength=1))
    response = alice.post(url("judge_submit", dataset), sent, headers={"hx-request": "true"})
    assert response["X-Concord-Task"] == "extra"
    mine = Judgment.objects.get(judge__user=annotator)
    assert mine.strength == (-3 if seen_left == "a" else 3)


def test_forged_and_foreign_tickets_are_refused(alice, dataset, annotator, annotator_two):
    batch_of(dataset, 2)
    mine = on_screen(alice, dataset)
    other = people.get_or_create_dataset(dataset.workspace, "other")
    for wrong in ("", "nonsense", mine["ticket"][:-2] + "xx"):
        assert alice.post(url("judge_submit", dataset), {**mine, "ticket": wrong, "verdict": "1"}).status_code == 404
    assert alice.post(url("judge_submit", other), {**mine, "verdict": "1"}).status_code == 404
    alice.force_login(annotator_two)
    assert alice.post(url("judge_submit", dataset), {**mine, "verdict": "1"}).status_code == 404
    assert not Judgment.objects.exists()


def test_another_persons_client_id_cannot_block_an_answer(alice, dataset, annotator_two):
    batch_of(dataset, 2)
    taken = uuid.uuid4()
    slots.submit(slots.claim(dataset, annotator_two), annotator_two, slots.Answer(strength=1), taken)
    response = submit(alice, dataset, "1", htmx=True, client_id=str(taken))
    assert response.status_code == 403
    assert Judgment.objects.count() == 1


def test_skip_and_undo_bring_the_pair_back(alice, dataset):
    batch_of(dataset, 1)
    form = on_screen(alice, dataset)
    said = alice.post(url("judge_skip", dataset), {**form, "skip_reason": "tired"}, headers={"hx-request": "true"})
    assert said["X-Concord-Task"] == "skipped"
    assert Skip.objects.get().reason == "tired"
    assert "All done" in alice.get(url("judge", dataset)).content.decode()
    back = alice.post(url("judge_undo", dataset), headers={"hx-request": "true"})
    assert back["X-Concord-Task"] == "undone"
    assert "Pair to judge" in back.content.decode()


def test_undo_with_nothing_to_take_back_says_so(alice, dataset):
    batch_of(dataset, 1)
    response = alice.post(url("judge_undo", dataset), headers={"hx-request": "true"})
    assert "Nothing to take back" in response.content.decode()


def test_empty_queues_tell_apart_nothing_all_done_and_busy(alice, dataset, annotator, annotator_two):
    assert "Nothing to judge yet" in alice.get(url("judge", dataset)).content.decode()
    batch_of(dataset, 1)
    theirs = slots.claim(dataset, annotator_two)
    assert "could come free at" in alice.get(url("judge", dataset)).content.decode()
    expire(theirs)
    html = submit(alice, dataset, "2", htmx=True).content.decode()
    assert "All done. Thank you!" in html
    assert "<b>1</b> pair today" in html


def test_hostile_texts_are_shown_and_never_executed(alice, dataset):
    hostile = '<script>alert(1)</script><img src=x onerror=alert(2)>\n\n[x](javascript:alert(3))\n\n"><svg onload=alert(4)>'
    open_batch(dataset, [make_pair(dataset, prompt=hostile, a=hostile, b=hostile + "!")])
    html = alice.get(url("judge", dataset)).content.decode()
    assert "<script>alert" not in html
    assert "<img" not in html
    assert "<svg onload" not in html
    assert 'href="javascript' not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


def test_the_guideline_opens_by_itself_until_seen_and_again_when_changed(alice, dataset, annotator, curator):
    batch_of(dataset, 3)
    page = url("judge", dataset)
    assert "data-unseen" in alice.get(page).content.decode()
    alice.post(url("guideline_seen", dataset), {"version": "1", "quiet": "1"})
    assert "data-unseen" not in alice.get(page).content.decode()
    guidelines.revise(dataset, text="New rules.", user=curator)
    fragment = submit(alice, dataset, "1", htmx=True).content.decode()
    assert "data-unseen" in fragment
    assert "New rules." in fragment


def test_an_answer_names_the_guideline_that_was_on_screen(alice, dataset, curator):
    batch_of(dataset, 2)
    sent = {**on_screen(alice, dataset), "verdict": "1"}
    guidelines.revise(dataset, text="New rules.", user=curator)
    alice.post(url("judge_submit", dataset), sent)
    submit(alice, dataset, "1")
    assert list(Judgment.objects.order_by("id").values_list("guideline", flat=True)) == ["v1", "v2"]


def test_the_page_takes_few_queries_however_long_the_history(alice, dataset, annotator, django_assert_max_num_queries):
    batch_of(dataset, 8)
    for _ in range(6):
        submit(alice, dataset, "1")
    with django_assert_max_num_queries(32):
        alice.get(url("judge", dataset))
