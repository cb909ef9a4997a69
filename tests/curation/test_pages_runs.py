"""Starting recipes, and watching, stopping and retrying runs."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from curation import decisions, judgments, recipes, runs
from curation.models import Chunk, ChunkState, Dataset, Run
from curation.people import get_or_create_dataset
from tests.builders import make_pair


@pytest.fixture
def filled(dataset) -> Dataset:
    for number in range(40):
        make_pair(dataset, number)
    return dataset


@pytest.fixture
def editor(client, curator):
    client.force_login(curator)
    return client


def url(name: str, dataset: Dataset, *more: object) -> str:
    return reverse(name, args=(dataset.workspace.slug, dataset.slug, *more))


def form(**changes: object) -> dict[str, object]:
    """What the browser sends for the recipe form as it is, with changes."""
    values = {
        "recipe": "verify_and_scale", "seed_share": "0.05", "review_share": "0.1", "overlap": "1", "judges": "",
        "template": "pairwise_v1", "reward_models": "", "consensus": "dawid_skene", "keep_from": "0.6", "flip_from": "0.8",
        "seed": "0",
    }  # fmt: skip
    return {**values, **changes}


def signals_run(dataset: Dataset, chunk_size: int = 10) -> Run:
    return runs.start_run(dataset, recipes.Signals(names=("length_difference",), chunk_size=chunk_size))


def polls(page: str) -> bool:
    return 'hx-trigger="every 2s"' in page


def test_the_form_says_how_many_human_labels_a_recipe_wants_before_it_starts(editor, filled):
    page = editor.get(url("recipe_start", filled)).content.decode()
    assert re.search(r'big-number">6</strong> human labels', page)
    asked = form(seed_share="0.1", review_share="0.25", overlap="3")
    part = editor.get(url("recipe_start", filled), asked, headers={"hx-request": "true"}).content.decode()
    assert part.strip().startswith("<section")
    assert re.search(r'big-number">42</strong> human labels', part)
    assert "14 pairs (35.0 %" in part


def test_starting_a_recipe_freezes_what_was_chosen(editor, filled, curator):
    response = editor.post(url("recipe_start", filled), form(seed_share="0.1", overlap="2"))
    started = filled.recipes.get()
    assert response.url == url("recipe", filled, started.pk)
    review = next(step for step in started.definition["steps"] if step["step"] == "review")
    assert (review["share"], review["overlap"], started.created_by) == (0.1, 2, curator)
    assert started.runs.get().step == "signals"
    page = editor.get(response.url).content.decode()
    assert page.count("to come") == len(started.definition["steps"]) - 1
    assert polls(page)


def test_a_recipe_form_sent_twice_starts_one_recipe(editor, filled):
    seen = re.search(r'name="seen" value="(\d+)"', editor.get(url("recipe_start", filled)).content.decode())[1]
    first, second = (editor.post(url("recipe_start", filled), form(seen=seen)) for _ in range(2))
    assert first.url == second.url
    assert filled.recipes.count() == 1
    editor.post(url("recipe_start", filled), form(seen=filled.recipes.get().pk))
    editor.post(url("recipe_start", filled), form(seen=seen, seed="7"))
    assert filled.recipes.count() == 3


@pytest.mark.parametrize(
    "change", [{"flip_from": "0.2"}, {"seed_share": "1.5"}, {"recipe": "none"}, {"judges": "gpt"}, {"seed": "-1"}]
)
def test_what_cannot_run_is_refused_with_its_reason(editor, filled, change, settings):
    settings.JUDGE_URL = ""
    response = editor.post(url("recipe_start", filled), form(**change))
    assert response.status_code == 400
    assert 'class="error"' in response.content.decode() or "banner-bad" in response.content.decode()
    assert not filled.recipes.exists()


def test_a_dataset_without_pairs_sends_you_to_the_import(editor, dataset):
    page = editor.get(url("recipe_start", dataset)).content.decode()
    assert reverse("import_new", args=("lab",)) in page


def test_the_run_page_polls_until_the_run_is_over(editor, filled):
    run = signals_run(filled)
    part = editor.get(url("run", filled, run.pk), headers={"hx-request": "true"}).content.decode()
    assert polls(part)
    assert "<html" not in part
    runs.drain(run.pk, seconds=30)
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert not polls(page)
    assert re.search(r'big-number">40</dd><dd class="muted small">of 40 pairs', page)
    assert "Cancel run" not in page


def test_a_run_that_no_worker_takes_says_so_and_how_to_mend_it(editor, filled):
    run = signals_run(filled)
    assert "No worker has taken this" not in editor.get(url("run", filled, run.pk)).content.decode()
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert "No worker has taken this" in page
    assert "manage.py up" in page


def test_cancelling_stops_a_run_and_keeps_what_it_stored(editor, filled):
    run = signals_run(filled)
    assert editor.get(url("run_cancel", filled, run.pk)).status_code == 405
    editor.post(url("run_cancel", filled, run.pk))
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert "cancelled" in page
    assert not polls(page)
    assert runs.drain(run.pk, seconds=5) is False
    assert not Chunk.objects.filter(run=run, state=ChunkState.DONE).exists()


def test_cancelling_a_recipe_starts_no_further_step(editor, filled):
    editor.post(url("recipe_start", filled), form())
    recipe = filled.recipes.get()
    editor.post(url("recipe_cancel", filled, recipe.pk))
    page = editor.get(url("recipe", filled, recipe.pk)).content.decode()
    assert "cancelled" in page
    assert not polls(page)
    assert page.count("not run") == len(recipe.definition["steps"]) - 1
    assert "to come" not in page
    assert url("recipe_start", filled) in page
    runs.drain(recipe.runs.get().pk, seconds=5)
    assert recipe.runs.count() == 1


def test_a_runs_report_is_in_words_and_keeps_keys_out_of_the_figures(editor, filled):
    report = {"n_gold": 84, "held_out_accuracy": 0.615, "labels": "991951d74deaacc5", "judge": 8}
    run = Run.objects.create(dataset=filled, step="train_head", queue="cpu", report=report, finished_at=timezone.now())
    page = editor.get(url("run", filled, run.pk)).content.decode()
    figures = page[page.index("h-report") : page.index('id="params"')]
    for text in ("Labels from people", ">84<", "Right on held-out labels", "61.5 %"):
        assert text in figures, text
    assert "991951d74deaacc5" not in figures
    assert "991951d74deaacc5" in page


def test_failed_parts_show_their_error_and_are_tried_again(editor, filled):
    run = signals_run(filled)
    Chunk.objects.filter(run=run).update(state=ChunkState.FAILED, attempts=3, error="Boom: <b>out of memory</b>")
    Run.objects.filter(pk=run.pk).update(finished_at=timezone.now())
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert "Boom: &lt;b&gt;out of memory&lt;/b&gt;" in page
    editor.post(url("run_retry", filled, run.pk))
    runs.drain(run.pk, seconds=30)
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert "Boom" not in page
    assert "What went wrong" not in page


def test_a_review_shows_answers_given_and_leads_to_the_judging_page(editor, filled, annotator):
    run = runs.start_run(filled, recipes.Review(policy="random", share=None, n=4, overlap=1))
    runs.drain(run.pk, seconds=10)
    pair = run.review_batch.items.first().pair
    judgments.record(pair, judgments.human_judge(filled.workspace, annotator), strength=1)
    page = editor.get(url("run", filled, run.pk)).content.decode()
    assert "<strong>1</strong> of 4 judgments given" in page
    assert url("judge", filled) in page
    editor.post(url("run_finish", filled, run.pk))
    run.refresh_from_db()
    assert run.finished_at


def test_runs_of_other_datasets_are_not_found(editor, filled):
    other = get_or_create_dataset(filled.workspace, "other")
    run = signals_run(filled)
    assert editor.get(url("run", other, run.pk)).status_code == 404
    assert editor.post(url("run_cancel", other, run.pk)).status_code == 404
    assert f">{run.pk}</a>" not in editor.get(url("runs", other)).content.decode()


def test_the_runs_list_pages_by_key(editor, filled, django_assert_max_num_queries):
    made = [signals_run(filled, chunk_size=40).pk for _ in range(30)]
    with django_assert_max_num_queries(16):
        first = editor.get(url("runs", filled)).content.decode()
    older = re.search(r'rel="next" href="(\?before=\d+)"', first)[1]
    second = editor.get(url("runs", filled) + older).content.decode()
    found = [int(pk) for page in (first, second) for pk in re.findall(r'/runs/(\d+)/">\d+</a></th>', page)]
    assert found == made[::-1]


def test_the_dataset_page_leads_through_the_stages(editor, dataset, curator):
    def next_step() -> str:
        return re.search(r"card-next.*?</section>", editor.get(url("dataset", dataset)).content.decode(), re.DOTALL)[0]

    assert "Import a file" in next_step()
    pairs = [make_pair(dataset, number) for number in range(3)]
    assert "Run a recipe" in next_step()
    review = runs.start_run(dataset, recipes.Review(policy="random", share=None, n=1, overlap=2))
    assert "Watch it" in next_step()
    runs.drain(review.pk, seconds=10)
    assert "2 more judgments" in next_step()
    runs.finish_review(review)
    decisions.decide_by_hand(pairs[0], user=curator, choice="a")
    assert "1 pair can be released" in next_step()


def test_the_dataset_page_counts_only_its_own_and_in_few_queries(
    editor, dataset, annotator, annotator_two, django_assert_max_num_queries
):
    other = get_or_create_dataset(dataset.workspace, "other")
    people = [judgments.human_judge(dataset.workspace, user) for user in (annotator, annotator_two)]
    for number in range(12):
        for place in (dataset, other):
            pair = make_pair(place, number)
            for offset, judge in enumerate(people if place is other or number < 6 else people[:1]):
                judgments.record(pair, judge, strength=1 if number % 3 else -1 + 2 * offset)
    with django_assert_max_num_queries(22):
        page = editor.get(url("dataset", dataset)).content.decode()
    assert re.search(r'Human judgments</dt><dd><span class="big-number">18</span> <span class="muted small">on 12 pairs', page)
    assert "On the 6 pairs that two or more of 2 people judged" in page
    assert "66.7 %" in page


def test_agreement_that_cannot_be_measured_is_said_in_words(editor, dataset, annotator):
    judgments.record(make_pair(dataset, 1), judgments.human_judge(dataset.workspace, annotator), strength=1)
    assert "No pair was judged by two people yet" in editor.get(url("dataset", dataset)).content.decode()
