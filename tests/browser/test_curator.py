"""A curator's day in a real browser: start a recipe, watch it finish, look at pairs by keyboard, send some to people."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.db import connection
from django.urls import reverse
from playwright.sync_api import Page, expect

from curation import consensus, judgments, runs
from curation.models import Dataset, Decision, JudgeKind, Pair, Recipe
from curation.recipes import Review
from curation.types import STORED_LABEL
from tests.builders import make_pair

ROOT = Path(__file__).resolve().parent.parent.parent
WORK_MS = 120_000  # a worker starts, loads the embedder and trains, on a busy machine

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(tmp_path) -> Iterator[None]:
    """A Celery worker of both queues on the test's database."""
    at = connection.settings_dict
    environment = {
        **os.environ,
        "DATABASE_URL": f"postgresql://{at['USER']}@/{at['NAME']}?host={quote(str(at['HOST']), safe='')}",
        "BROKER_URL": settings.CELERY_BROKER_URL,
    }
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "cpu,gpu", "-P", "solo", "-n", "browser@%h"]
    with (tmp_path / "worker.log").open("w") as log:
        started = subprocess.Popen([*command, "--loglevel", "WARNING"], cwd=ROOT, env=environment, stdout=log, stderr=log)
    yield
    started.terminate()
    try:
        started.wait(20)
    except subprocess.TimeoutExpired:
        started.kill()
        started.wait()


@pytest.fixture
def filled(dataset) -> Dataset:
    """Thirty pairs with stored labels; two language models disagree with them and with each other on some."""
    labels = judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
    models = [
        judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, name, spec={"model": name}) for name in ("one", "two")
    ]
    for number in range(30):
        pair = make_pair(dataset, number)
        judgments.record(pair, labels, strength=-1)
        judgments.record(pair, models[0], strength=2 if number % 5 == 0 else -2, order_shown="ab")
        judgments.record(pair, models[1], strength=2 if number % 10 == 0 else -1, order_shown="ba")
    return dataset


def url(name: str, dataset: Dataset, *more: object) -> str:
    return reverse(name, args=(dataset.workspace.slug, dataset.slug, *more))


def assert_fits(page: Page) -> None:
    """Nothing sticks out to the side."""
    width = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert width[0] <= width[1], f"{page.url}: {width[0]} px wide on {width[1]}"


def test_a_curator_starts_a_recipe_and_watches_it_finish(filled, curator, new_page, worker):
    page = new_page()
    page.goto(url("dataset", filled))
    page.get_by_label("User name").fill("carla")
    page.get_by_label("Password").fill("carla-password")
    page.get_by_role("button", name="Sign in").click()
    page.locator(".card-next").get_by_role("link", name="Run a recipe").click()

    page.get_by_label("triage").check()
    page.get_by_label("Judged next").fill("0.2")
    expect(page.locator("#estimate")).to_contain_text("6 human labels wanted")
    page.get_by_label("Judged next").fill("0")
    expect(page.locator("#estimate")).to_contain_text("0 human labels wanted")
    page.get_by_role("button", name="Start").click()

    # Nobody reloads: the page polls, and stops when the recipe is over.
    page.evaluate("window.stillTheSamePage = true")
    expect(page.locator("h1 .chip")).to_have_text("done", timeout=WORK_MS)
    assert page.evaluate("window.stillTheSamePage")
    expect(page.locator(".steps .chip")).to_have_text(["done"] * len(Recipe.objects.get().definition["steps"]))
    assert page.locator("#live[hx-trigger]").count() == 0

    page.locator(".steps a", has_text="train a reward head").click()
    expect(page.locator("h1")).to_contain_text("done")
    expect(page.get_by_role("heading", name="Report")).to_be_visible()
    assert Decision.objects.filter(dataset=filled).exists()
    page.get_by_role("link", name="Overview").click()
    expect(page.locator(".card-next")).to_contain_text("can be released")


def test_a_run_without_a_worker_is_cancelled_after_a_question(filled, curator, page_for):
    run = runs.start_run(filled, "signals")
    page = page_for(curator)
    page.goto(url("run", filled, run.pk))
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator("h1 .chip")).to_have_text("waiting")
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel run").click()
    expect(page.locator("h1 .chip")).to_have_text("cancelled")


def test_pairs_are_walked_by_keyboard_within_their_filter_and_decided(filled, curator, page_for):
    page = page_for(curator)
    page.goto(url("pairs", filled))
    page.get_by_label("… whose verdict").select_option("contradicts")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.get_by_role("link", name="pair-0", exact=True).click()
    expect(page.locator("h1")).to_have_text("pair-0")
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("pair-5")
    page.get_by_label("Note").fill("jk")  # keys typed into a field stay there
    expect(page.locator("h1")).to_have_text("pair-5")
    page.get_by_role("button", name="Response B is better").click()
    expect(page.locator(".messages")).to_contain_text("now gold")
    assert Pair.objects.get(external_id="pair-5").pool == "gold"
    page.keyboard.press("j")
    expect(page.locator("h1")).to_have_text("pair-10")
    page.keyboard.press("k")
    expect(page.locator("h1")).to_have_text("pair-5")


def test_pairs_that_judges_disagree_on_are_sent_to_people(filled, curator, page_for):
    consensus.rebuild(filled)
    page = page_for(curator)
    page.goto(url("disagreement", filled))
    page.get_by_label("Choose all on this page").check()
    page.get_by_label("people per pair").fill("2")
    page.get_by_role("button", name="Send to people").click()
    expect(page.locator(".messages")).to_contain_text("25 pairs sent to people, 2 per pair")
    page.goto(url("dataset", filled))
    expect(page.get_by_text("0 / 50")).to_be_visible()


def test_lists_and_decisions_work_without_scripts(filled, curator, page_for):
    page = page_for(curator, scripts=False, width=390)
    page.goto(url("dataset", filled))
    page.get_by_text("Pages of this dataset").click()
    page.get_by_role("link", name="Pairs", exact=True).click()
    page.get_by_label("Id starts with").fill("pair-7")
    page.get_by_role("button", name="Filter").click()
    page.get_by_role("link", name="pair-7", exact=True).click()
    page.get_by_role("button", name="Leave the pair out").click()
    expect(page.locator(".messages")).to_contain_text("now discarded")


def test_the_chosen_theme_is_there_from_the_first_paint(filled, curator, page_for):
    page = page_for(curator)
    page.goto(url("dataset", filled))
    light = page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor")
    page.locator("summary", has_text="carla").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor")
    assert dark != light
    response = page.goto(url("pairs", filled))
    assert 'data-theme="dark"' in response.text()
    assert page.evaluate("getComputedStyle(document.body.parentElement).backgroundColor") == dark


@pytest.mark.parametrize("dark", [False, True])
def test_pages_are_accessible_and_fit_a_phone(filled, curator, page_for, dark):
    consensus.rebuild(filled)
    review = runs.start_run(filled, Review(policy="random", share=None, n=3, overlap=2))
    runs.drain(review.pk, seconds=10)
    recipe = runs.start_recipe(filled, "verify_and_scale", user=curator)
    pair = filled.pairs.first()
    judgments.record(pair, judgments.human_judge(filled.workspace, curator), strength=-3, rationale="Long " * 200)
    addresses = [url(name, filled) for name in ("dataset", "pairs", "disagreement", "runs", "recipe_start", "dataset_settings")]
    addresses += [url("pair", filled, pair.pk), url("run", filled, review.pk), url("recipe", filled, recipe.pk)]
    addresses += [reverse("home"), reverse("workspace", args=("lab",))]
    wide, narrow = page_for(curator, dark=dark), page_for(curator, dark=dark, width=390)
    for address in addresses:
        wide.goto(address)
        assert_fits(wide)
        found = Axe().run(wide)
        assert found.violations_count == 0, f"{address}\n{found.generate_report()}"
        narrow.goto(address)
        assert_fits(narrow)
