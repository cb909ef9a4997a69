"""An annotator at work, in a real browser: keyboard, drafts, a bad line, a phone, hostile texts, accessibility."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from annotate import guidelines, slots
from annotate.models import Slot
from curation import judgments
from curation.models import Judgment
from tests.annotate.batches import batch_of, open_batch
from tests.builders import make_pair

pytestmark = pytest.mark.django_db(transaction=True)

JUDGE = "/w/lab/d/pairs/judge/"
RICH = "## Title\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\nprint('hello')\n```\n\n> quote and [link](https://example.org)"


@pytest.fixture
def bad_line(new_page):
    """The console may complain of requests that did not come through."""
    new_page.forgiven += ["Failed to load resource", "htmx:"]


@pytest.fixture
def judging(page_for, annotator, dataset):
    """`judging(**as page_for)`: the judging page, guideline read."""
    guidelines.mark_seen(guidelines.in_force(dataset), user=annotator)

    def make(**options) -> Page:
        page = page_for(annotator, **options)
        page.goto(JUDGE)
        return page

    return make


def said(page: Page, text: str) -> None:
    expect(page.locator("#announce")).to_contain_text(text)


def answer(page: Page, *keys: str) -> None:
    """Press the keys, submit, and wait for the next pair or the end."""
    before = page.locator("#task").get_attribute("data-client-id")
    for key in (*keys, "Enter"):
        page.keyboard.press(key)
    expect(page.locator("#task")).not_to_have_attribute("data-client-id", before)


def test_enter_closes_an_unread_guideline_and_a_quick_answer_does_not_open_it_again(page_for, annotator, dataset, bad_line):
    batch_of(dataset, 3)
    page = page_for(annotator)
    page.route("**/guideline/seen/", lambda route: route.abort())  # the answer comes to the server before this message
    page.goto(JUDGE)
    expect(page.locator("#guideline")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.locator("#guideline")).to_be_hidden()
    answer(page, "2")
    expect(page.locator("#guideline")).to_be_hidden()
    assert Judgment.objects.count() == 1


def test_an_annotator_signs_in_and_judges_ten_pairs_by_keyboard_alone(new_page, annotator, dataset):
    batch_of(dataset, 11)
    page = new_page()
    page.goto(JUDGE)
    page.get_by_label("User name").focus()
    page.keyboard.type("alice")
    page.keyboard.press("Tab")
    page.keyboard.type("alice-password")
    page.keyboard.press("Enter")
    expect(page.locator("#guideline")).to_be_visible()
    page.keyboard.press("g")
    expect(page.locator("#guideline")).to_be_hidden()
    for keys in (["1"], ["2"], ["3"], ["4"], ["5"], ["6"], ["7"], ["x"], ["c", "c", "c"]):
        answer(page, *keys)
    page.keyboard.press("2")
    page.keyboard.press("r")
    page.keyboard.type("1 2 3 xcsz: keys are letters here")
    page.keyboard.press("Escape")
    answer(page)
    said(page, "Saved: Left better. Next pair.")
    expect(page.locator("#own-progress")).to_contain_text("10 today")
    given = list(judgments.current(dataset).order_by("id"))
    sides = {slot.judgment_id: slot.left for slot in Slot.objects.filter(judgment__isnull=False)}
    shown = [judgment.strength if sides[judgment.pk] == "a" else judgment.strength and -judgment.strength for judgment in given]
    assert shown == [-3, -2, -1, 0, 1, 2, 3, 0, None, -2]
    assert [judgment.tie_kind for judgment in given if judgment.tie_kind] == ["tie", "both_bad", "cannot_judge"]
    assert given[8].detail == {"reason": "language"}
    assert given[9].rationale == "1 2 3 xcsz: keys are letters here"
    assert all(judgment.seconds is not None for judgment in given)


def test_undo_brings_the_last_answer_back_and_a_new_one_replaces_it(judging, dataset):
    batch_of(dataset, 3)
    page = judging()
    page.keyboard.press("r")
    page.keyboard.type("too quick")
    page.keyboard.press("Escape")
    answer(page, "1")
    page.keyboard.press("z")
    said(page, "Answer taken back")
    expect(page.locator("input[name=verdict][value='1']")).to_be_checked()
    expect(page.locator("textarea")).to_have_value("too quick")
    assert not judgments.current(dataset).exists()
    answer(page, "6")
    assert abs(judgments.current(dataset).get().strength) == 2
    assert Judgment.objects.count() == 3


def test_a_reload_in_the_middle_of_a_rationale_loses_nothing(judging, dataset):
    batch_of(dataset, 2)
    page = judging()
    page.keyboard.press("5")
    page.keyboard.press("r")
    page.keyboard.type("The right one is")
    page.reload()
    expect(page.locator("textarea")).to_have_value("The right one is")
    expect(page.locator("input[name=verdict][value='5']")).to_be_checked()
    page.keyboard.press("r")
    page.keyboard.press("End")
    page.keyboard.type(" correct")
    expect(page.locator("#saved-state")).to_have_text("Draft kept")
    page.evaluate("localStorage.clear()")
    page.reload()
    expect(page.locator("textarea")).to_have_value("The right one is correct")


def test_an_answer_sent_without_a_line_is_kept_and_saved_once_when_it_is_back(judging, dataset, bad_line):
    batch_of(dataset, 2)
    page = judging()
    page.context.set_offline(True)
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    expect(page.locator("#unsaved")).to_be_visible()
    expect(page.locator("#saved-state")).to_have_text("Not saved yet")
    expect(page.locator("input[name=verdict][value='3']")).to_be_checked()
    page.keyboard.press("Enter")
    assert not Judgment.objects.exists()
    page.context.set_offline(False)
    said(page, "Saved: Left slightly better. Next pair.")
    assert Judgment.objects.count() == 1


def test_an_answer_that_was_stored_although_the_reply_got_lost_is_not_stored_twice(judging, dataset, bad_line):
    batch_of(dataset, 2)
    page = judging()
    lost = []

    def lose_the_first_reply(route):
        if not lost:
            lost.append(route.fetch().status)
            return route.abort()
        return route.continue_()

    page.route("**/judge/submit/", lose_the_first_reply)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    said(page, "You had already answered this pair: Left better.")
    assert lost == [200]
    assert Judgment.objects.count() == 1


def test_an_unsaved_answer_survives_closing_the_tab(judging, dataset, bad_line):
    batch_of(dataset, 2)
    page = judging()
    page.context.set_offline(True)
    page.keyboard.press("7")
    page.keyboard.press("Enter")
    expect(page.locator("#unsaved")).to_be_visible()
    context = page.context
    page.close()
    context.set_offline(False)
    page = context.new_page()
    page.goto(JUDGE)
    said(page, "Saved: Right much better.")
    assert Judgment.objects.count() == 1
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.includes('unsent'))") == []


def test_a_signed_out_annotator_keeps_the_answer_until_signed_in_again(judging, dataset, bad_line):
    batch_of(dataset, 2)
    page = judging()
    cookies = page.context.cookies()
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("4")
    page.keyboard.press("Enter")
    expect(page.locator("#unsaved")).to_contain_text("signed out")
    expect(page.locator("input[name=verdict][value='4']")).to_be_checked()
    page.context.add_cookies([cookie for cookie in cookies if cookie["name"] == "sessionid"])
    page.get_by_role("button", name="Try now").click()
    said(page, "Saved: Equally good.")
    assert Judgment.objects.count() == 1


def test_pressing_enter_twice_answers_one_pair(judging, dataset):
    batch_of(dataset, 3)
    page = judging()
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    said(page, "Next pair")
    page.keyboard.press("Enter")
    expect(page.locator("#answer-error")).to_contain_text("Choose an answer first")
    assert Judgment.objects.count() == 1


def test_keys_with_ctrl_alt_or_cmd_are_left_to_the_browser(judging, dataset):
    batch_of(dataset, 2)
    page = judging()
    for key in ("Control+1", "Alt+x", "Meta+s", "Control+z"):
        page.keyboard.press(key)
    assert page.locator("input[name=verdict]:checked").count() == 0
    assert page.locator("#skip-box[open]").count() == 0


def test_every_button_with_a_key_answers_to_it_and_no_key_is_given_twice(judging, dataset):
    open_batch(dataset, [make_pair(dataset, prompt="long " * 2000, a=RICH)])
    page = judging()
    keys = page.eval_on_selector_all("[data-hotkey]", "elements => elements.map((element) => element.dataset.hotkey)")
    assert sorted(keys) == sorted(["1", "2", "3", "4", "5", "6", "7", "x", "c", "s", "z", "g", "m", "y", "w", "p", "?"])
    page.keyboard.press("m")
    expect(page.locator(".raw-text").first).to_be_visible()
    page.keyboard.press("y")
    expect(page.locator(".side-body").first).to_have_attribute("tabindex", "0")
    page.keyboard.press("p")
    expect(page.get_by_role("button", name="Fold the prompt")).to_be_visible()
    page.keyboard.press("?")
    expect(page.get_by_role("heading", name="Keys")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    assert page.locator("input[name=verdict]:checked").count() == 0
    page.reload()
    expect(page.locator(".raw-text").first).to_be_visible()


def test_skipping_takes_two_keys_and_can_be_taken_back(judging, dataset):
    batch_of(dataset, 2)
    page = judging()
    first = page.locator("#task").get_attribute("data-client-id")
    page.keyboard.press("s")
    page.keyboard.type("not my field")
    page.keyboard.press("Escape")
    expect(page.locator("#task")).to_have_attribute("data-client-id", first)
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    said(page, "Skipped. Next pair.")
    page.keyboard.press("z")
    said(page, "Skip taken back")


def test_hostile_texts_do_not_run(judging, dataset):
    hostile = (
        "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>[x](javascript:document.title='run')"
    )
    open_batch(dataset, [make_pair(dataset, prompt=hostile, a=hostile, b=hostile + "<svg/onload=\"document.title='run'\">")])
    page = judging()
    page.keyboard.press("m")
    page.wait_for_timeout(200)
    assert "run" not in page.title()
    assert page.locator("#task img, #task script, #task svg").count() == 0
    assert "onerror=" in page.locator(".side-left").inner_text()


def test_code_can_be_copied(judging, dataset):
    open_batch(dataset, [make_pair(dataset, a=RICH)])
    page = judging()
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".rendered pre").hover()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "print('hello')\n"


def test_a_phone_shows_one_response_at_a_time_and_fits(judging, dataset):
    open_batch(dataset, [make_pair(dataset, a=RICH + "\n\n" + "x" * 400, b="short")])
    page = judging(width=390, height=844)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Response 2 (right)").click()
    expect(page.locator(".side-right")).to_be_visible()
    expect(page.locator(".side-left")).to_be_hidden()
    bar = page.locator("#answer").bounding_box()
    assert bar["y"] + bar["height"] <= 845
    assert bar["height"] < 844 / 3
    page.get_by_role("radio", name="Right better").check()
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_role("heading", name="All done. Thank you!")).to_be_visible()
    assert Judgment.objects.count() == 1


def test_the_page_works_without_scripts(judging, dataset):
    batch_of(dataset, 2)
    page = judging(scripts=False)
    page.get_by_role("radio", name="Left better").check()
    page.get_by_label("Rationale").fill("no scripts here")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("Saved: Left better.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_label("Rationale")).to_have_value("no scripts here")
    page.locator("#skip-box summary").click()
    page.get_by_role("button", name="Skip this pair").click()
    expect(page.get_by_text("Skipped.")).to_be_visible()


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 390])
def test_no_serious_accessibility_fault(judging, dataset, annotator, width, dark):
    open_batch(dataset, [make_pair(dataset, n, a=RICH + str(n)) for n in range(2)])
    slots.submit(slots.claim(dataset, annotator), annotator, slots.Answer(strength=2, rationale="fine"))
    page = judging(width=width, dark=dark)
    page.keyboard.press("c")
    check(page)
    page.keyboard.press("g")
    expect(page.locator("#guideline")).to_be_visible()
    check(page)
    page.goto("/w/lab/d/pairs/my-work/")
    check(page)
    page.get_by_role("link", name="Change").first.click()
    check(page)
    page.goto("/w/lab/d/pairs/guideline/")
    check(page)


def check(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in found if fault["impact"] in ("serious", "critical")]
    assert not serious, serious
