"""A curator cuts a release and downloads it."""

import json

import pytest

from curation import people
from tests.builders import make_decision, make_pair

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def release_folder(settings, tmp_path):
    settings.PATHS = type(settings.PATHS)(tmp_path)


@pytest.fixture
def decided(dataset):
    people.change_settings(dataset, name="Sums", licence="CC-BY-4.0", source="made for this test")
    pairs = [make_pair(dataset, number) for number in range(12)]
    for number, pair in enumerate(pairs[:8]):
        make_decision(pair, strength=-2 if number % 2 else 1.5, pool="gold" if number < 3 else "silver", reason="people_agree")
    make_decision(pairs[8], strength=0, reason="judges_say_tie")
    make_decision(pairs[9], strength=None, pool="discarded", action="drop", reason="near_duplicate")
    return pairs


def test_a_curator_cuts_a_release_and_downloads_it(page_for, curator, decided, tmp_path):
    page = page_for(curator)
    page.goto("/w/lab/d/pairs/releases/")
    page.get_by_role("link", name="Cut the first release").click()
    page.get_by_role("heading", name="This release would hold 8 of 12 pairs").wait_for()
    page.get_by_label("Ties").select_option("both_orders")
    page.get_by_role("heading", name="This release would hold 9 of 12 pairs").wait_for()
    page.get_by_label("Silver").uncheck()
    page.get_by_role("heading", name="This release would hold 3 of 12 pairs").wait_for()
    page.get_by_label("Silver").check()
    page.get_by_label("Notes").fill("The first one")
    page.get_by_role("button", name="Cut release").click()
    page.get_by_role("heading", name="Release 1", exact=True).wait_for()
    with page.expect_download() as started:
        page.get_by_role("row", name="trl_implicit").get_by_role("link", name="JSONL").first.click()
    file = tmp_path / started.value.suggested_filename
    started.value.save_as(file)
    assert file.name == "pairs-v1-trl_implicit-train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(rows) == 10
    assert rows[0]["margin"] == 1.5
    assert rows[0]["chosen"] == decided[0].prompt.messages + decided[0].response_b.messages


def test_releases_are_cut_without_scripts(page_for, curator, decided):
    page = page_for(curator, scripts=False)
    page.goto("/w/lab/d/pairs/releases/new/")
    page.get_by_label("Ties").select_option("zero_margin")
    page.get_by_role("button", name="Count again").click()
    page.get_by_role("heading", name="This release would hold 9 of 12 pairs").wait_for()
    page.get_by_role("button", name="Cut release").click()
    page.get_by_role("heading", name="Release 1", exact=True).wait_for()
