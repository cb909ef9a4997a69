"""Runs in one process: exact under crashes, lapsed leases, failing models, cancelling and repeating."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from curation import chunks, judgments, people, planning, runs
from curation.models import Chunk, ChunkState, Dataset, Judgment, Recipe, ReviewBatch, Reward, Run, SignalValue
from curation.recipes import Consensus, Embed, Review, Signals
from curation.recipes import Recipe as Plan
from curation.recipes import Reward as RewardStep
from curation.steps.base import CannotRun, Work
from models_runtime.types import ModelSpec
from tests.builders import make_pair

SCRIPTED = ModelSpec("scripted", "tiny")


@pytest.fixture
def pairs(dataset):
    return [make_pair(dataset, number) for number in range(5)]


@pytest.fixture
def other(workspace) -> Dataset:
    """A second dataset, which no run of the first may touch."""
    found = people.get_or_create_dataset(workspace, "others")
    make_pair(found, 77)
    return found


def reward_run(dataset: Dataset, *, chunk_size: int = 2, model: ModelSpec = SCRIPTED) -> Run:
    return runs.start_run(dataset, RewardStep(model, chunk_size=chunk_size))


def drained(run: Run) -> runs.Progress:
    while runs.drain(run.pk, seconds=30):
        pass
    run.refresh_from_db()
    return runs.progress(run)


def lapse(chunk: Chunk) -> None:
    """As if the worker that holds it had died a while ago."""
    Chunk.objects.filter(pk=chunk.pk).update(lease_until=timezone.now() - timedelta(minutes=1))


def ready_again(run: Run) -> None:
    """As if the pause after an error were over."""
    run.chunks.filter(state=ChunkState.PENDING).update(lease_until=None)


def computed(run: Run, claim: chunks.Claim):
    """The claimed chunk's values, not stored."""
    work = Work(run, RewardStep(SCRIPTED), claim.chunk.first_pair, claim.chunk.last_pair)
    return work, planning.STEPS[run.step].compute(work)


def test_a_run_gives_every_pair_of_its_dataset_its_values_and_no_other(dataset, pairs, other):
    run = reward_run(dataset)
    assert list(run.chunks.values_list("n_pairs", flat=True)) == [2, 2, 1]
    found = drained(run)
    assert (found.state, found.n_pairs, found.n_done, found.n_failed, found.n_missing) == ("done", 5, 5, 0, 0)
    assert run.finished_at is not None
    assert Reward.objects.count() == 10
    assert set(Judgment.objects.values_list("pair_id", flat=True)) == {pair.pk for pair in pairs}
    assert SignalValue.objects.filter(name="reward_margin", run=run).count() == 5


def test_a_judgment_of_a_reward_model_says_what_its_margin_says(dataset, pairs):
    drained(reward_run(dataset))
    for row in Judgment.objects.select_related("pair"):
        rewards = dict(Reward.objects.values_list("response_id", "value"))
        margin = rewards[row.pair.response_b_id] - rewards[row.pair.response_a_id]
        assert (row.strength > 0) == (row.probability > 0.5) == (margin > 0)


def test_repeating_a_run_calls_the_model_for_nothing(dataset, pairs):
    drained(reward_run(dataset))
    # A model that answers nothing: had it been asked, pairs would lack a value.
    again = reward_run(dataset)
    assert again.key == Run.objects.order_by("id").first().key
    found = drained(again)
    assert (found.n_missing, Reward.objects.count(), Judgment.objects.count()) == (0, 10, 5)
    assert sum(again.chunks.values_list("n_values", flat=True)) == 0


def test_another_revision_of_a_model_is_another_judge_whose_opinion_stands_beside_the_first(dataset, pairs):
    first, second = reward_run(dataset), reward_run(dataset, model=ModelSpec("scripted", "tiny", revision="2"))
    assert first.judge != second.judge
    drained(first)
    drained(second)
    assert (Reward.objects.count(), judgments.current(dataset).count()) == (20, 10)


def test_values_computed_by_a_worker_that_died_before_storing_are_computed_by_the_next(dataset, pairs):
    run = reward_run(dataset)
    died = chunks.claim(run)
    computed(run, died)
    lapse(died.chunk)
    assert drained(run).state == "done"
    assert Reward.objects.count() == 10
    died.chunk.refresh_from_db()
    assert died.chunk.attempts == 2


def test_a_worker_that_comes_back_after_its_lease_ran_out_stores_nothing(dataset, pairs):
    run = reward_run(dataset)
    slow = chunks.claim(run)
    work, values = computed(run, slow)
    lapse(slow.chunk)
    quick = chunks.claim(run)
    while quick.chunk.pk != slow.chunk.pk:
        quick = chunks.claim(run)
    with pytest.raises(chunks.ClaimLost):
        runs.store(work, slow, values)
    assert Reward.objects.count() == 0
    runs.store(work, quick, values)
    assert Reward.objects.count() == 4


def test_finishing_a_chunk_twice_changes_nothing(dataset, pairs):
    run = reward_run(dataset)
    claim = chunks.claim(run)
    work, values = computed(run, claim)
    runs.store(work, claim, values)
    with pytest.raises(chunks.ClaimLost):
        runs.store(work, claim, values)
    assert Reward.objects.count() == 4
    assert run.chunks.filter(state=ChunkState.DONE).count() == 1


def test_no_chunk_is_handed_out_twice_while_its_lease_holds(dataset, pairs):
    run = reward_run(dataset)
    claims = [chunks.claim(run) for _ in range(4)]
    assert claims.pop() is None
    assert len({claim.chunk.pk for claim in claims}) == 3


def test_a_chunk_that_kills_its_worker_three_times_is_given_up_and_the_run_goes_on(dataset, pairs):
    run = reward_run(dataset)
    poison = chunks.claim(run).chunk
    Chunk.objects.filter(pk=poison.pk).update(attempts=chunks.MOST_ATTEMPTS)
    lapse(poison)
    found = drained(run)
    assert (found.state, found.n_done, found.n_failed) == ("failed", 3, 2)
    poison.refresh_from_db()
    assert "without a word" in poison.error


def failing(dataset: Dataset, monkeypatch, *, times: int, error: Exception) -> tuple[Run, list[int]]:
    """A run whose first chunk fails so many times. Returns the run and the list of calls."""
    run, calls = reward_run(dataset), []
    step = planning.STEPS["reward"]
    first = run.chunks.order_by("id").first().first_pair

    def compute(work: Work):
        if work.first == first and len(calls) < times:
            calls.append(work.first)
            raise error
        return step.compute(work)

    monkeypatch.setitem(planning.STEPS, "reward", type(step)(**{**vars(step), "compute": compute}))
    return run, calls


def test_a_chunk_that_fails_once_is_tried_again_after_a_pause(dataset, pairs, monkeypatch):
    run, _ = failing(dataset, monkeypatch, times=1, error=RuntimeError("out of luck"))
    drained(run)
    broken = run.chunks.order_by("id").first()
    assert (broken.state, broken.attempts) == (ChunkState.PENDING, 1)
    assert "out of luck" in broken.error
    assert broken.lease_until > timezone.now()
    ready_again(run)
    assert drained(run).state == "done"
    broken.refresh_from_db()
    assert broken.error == ""
    assert Reward.objects.count() == 10


def test_a_chunk_that_keeps_failing_says_why_does_not_stop_the_others_and_can_be_retried(dataset, pairs, monkeypatch):
    run, calls = failing(dataset, monkeypatch, times=3, error=RuntimeError("bad\x00 batch"))
    for _ in range(3):
        drained(run)
        ready_again(run)
    found = runs.progress(run)
    assert (found.state, found.n_done, found.n_failed, len(calls)) == ("failed", 3, 2, 3)
    assert "bad batch" in run.chunks.get(state=ChunkState.FAILED).error
    assert runs.retry_failed(run) == 1
    assert drained(run).state == "done"
    assert Reward.objects.count() == 10


def test_an_error_that_no_retry_helps_fails_at_once_with_its_own_words(dataset, pairs, monkeypatch):
    from models_runtime.types import BackendError

    run, calls = failing(dataset, monkeypatch, times=9, error=BackendError("The key was refused.", permanent=True))
    drained(run)
    assert len(calls) == 1
    assert run.chunks.get(state=ChunkState.FAILED).error == "The key was refused."


def test_pairs_that_a_model_has_no_value_for_are_counted_and_keep_their_place(dataset, pairs):
    found = drained(reward_run(dataset, model=ModelSpec("scripted", "tiny", params={"none_for": ["It is 4."]})))
    assert (found.state, found.n_missing, found.n_done) == ("done", 1, 5)
    assert Judgment.objects.count() == 4


def test_a_cancelled_run_claims_nothing_more_but_what_is_computed_may_be_stored(dataset, pairs):
    run = reward_run(dataset)
    claim = chunks.claim(run)
    work, values = computed(run, claim)
    runs.cancel(run)
    runs.store(work, claim, values)
    assert Reward.objects.count() == 4
    assert drained(run).state == "cancelled"
    assert Reward.objects.count() == 4
    with pytest.raises(CannotRun):
        runs.retry_failed(run)


def test_a_step_that_cannot_run_is_refused_before_it_starts(dataset, pairs, settings):
    settings.JUDGE_URL = ""
    for step, params, words in [
        ("reward", {"model": ModelSpec("minilm")}, "cannot do 'reward'"),
        ("reward", {"model": ModelSpec("nope")}, "minilm"),
        ("reward", {}, "train_head"),
        ("judge", {"model": ModelSpec("openai", "gpt")}, "CONCORD_JUDGE_URL"),
        ("judge", {"model": SCRIPTED, "template": "nope"}, "pairwise_v1"),
        ("signals", {"names": ("nope",)}, "length_difference"),
        ("consensus", {"method": "nope"}, "dawid_skene"),
        ("review", {"policy": "nope"}, "disagreement"),
        ("decide", {"settings": {"nope": 1}}, "keep_from"),
    ]:
        with pytest.raises(CannotRun, match=words):
            runs.start_run(dataset, step, params=params)
    assert not Run.objects.exists()


def test_an_empty_dataset_is_refused(dataset):
    with pytest.raises(CannotRun, match="no pairs"):
        runs.start_run(dataset, "signals")
    with pytest.raises(CannotRun, match="no pairs"):
        runs.start_recipe(dataset, "triage")
    assert not Recipe.objects.exists()


def test_a_run_nobody_takes_says_so_after_ten_seconds(dataset, pairs):
    run = reward_run(dataset)
    assert not runs.progress(run).waiting_for_worker
    Run.objects.filter(pk=run.pk).update(created_at=timezone.now() - timedelta(seconds=11))
    run.refresh_from_db()
    assert runs.progress(run).waiting_for_worker
    chunks.claim(run)
    assert not runs.progress(run).waiting_for_worker


def test_progress_is_one_query_and_estimates_the_time_left(dataset, pairs, django_assert_num_queries):
    run = reward_run(dataset)
    now = timezone.now()
    done = run.chunks.order_by("id").first()
    Chunk.objects.filter(pk=done.pk).update(
        state=ChunkState.DONE, started_at=now - timedelta(seconds=10), finished_at=now, attempts=1
    )
    with django_assert_num_queries(1):
        found = runs.progress(run)
    assert (found.state, found.n_done) == ("running", 2)
    assert found.seconds_left == pytest.approx(15)


def test_no_model_is_called_inside_a_transaction(dataset, pairs, monkeypatch):
    step, depths = planning.STEPS["reward"], []
    before = len(connection.savepoint_ids)

    def compute(work: Work):
        depths.append(len(connection.savepoint_ids) - before)
        return step.compute(work)

    monkeypatch.setitem(planning.STEPS, "reward", type(step)(**{**vars(step), "compute": compute}))
    drained(reward_run(dataset))
    assert depths == [0, 0, 0]


# Recipes: from step to step


def plan(*steps, **fields) -> Plan:
    return Plan("mine", steps, **fields)


def work_off(recipe: Recipe) -> list[str]:
    """Drain run after run until nothing more can happen without people. Returns the states in order of steps."""
    seen = 0
    while seen < recipe.runs.count():
        seen = recipe.runs.count()
        for run in recipe.runs.order_by("step_no"):
            drained(run)
    return [f"{run.step} {runs.progress(run).state}" for run in recipe.runs.order_by("step_no")]


def test_a_recipe_goes_from_step_to_step_and_freezes_what_it_does(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Signals(), Embed(SCRIPTED), Consensus("majority")))
    assert work_off(recipe) == ["signals done", "embed done", "consensus done"]
    assert recipe.code_version.startswith("0.")
    assert [step["step"] for step in recipe.definition["steps"]] == ["signals", "embed", "consensus"]


def test_a_step_whose_planning_was_lost_in_a_crash_is_planned_by_the_sweep(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Signals(), Consensus("majority")))
    first = recipe.runs.get()
    Chunk.objects.filter(run=first).update(state=ChunkState.DONE)
    runs.sweep(["cpu", "gpu"])
    first.refresh_from_db()
    assert first.finished_at is not None
    assert recipe.runs.count() == 2
    Run.objects.filter(step_no=1).delete()  # the crash came between the two transactions
    runs.sweep(["cpu", "gpu"])
    runs.sweep(["cpu", "gpu"])
    assert recipe.runs.count() == 2


def test_a_recipe_stops_where_too_much_failed_and_goes_on_after_the_retry(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Signals(chunk_size=1), Consensus("majority")))
    first = recipe.runs.get()
    first.chunks.update(state=ChunkState.FAILED)
    assert work_off(recipe) == ["signals failed"]
    runs.retry_failed(first)
    assert work_off(recipe) == ["signals done", "consensus done"]


def test_a_recipe_tolerates_the_failures_it_says(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Signals(chunk_size=1), Consensus("majority"), tolerated_failures=0.2))
    poison = recipe.runs.get().chunks.first()
    Chunk.objects.filter(pk=poison.pk).update(state=ChunkState.FAILED)
    assert work_off(recipe) == ["signals failed", "consensus done"]


def test_a_step_that_turns_out_impossible_shows_why_and_can_be_retried(dataset, pairs, settings):
    settings.JUDGE_URL = "http://localhost:1/v1"
    from curation.recipes import LlmJudge

    recipe = runs.start_recipe(dataset, plan(Signals(), LlmJudge(ModelSpec("openai", "gpt"))))
    settings.JUDGE_URL = ""
    assert work_off(recipe) == ["signals done", "judge failed"]
    judge = recipe.runs.get(step="judge")
    assert "CONCORD_JUDGE_URL" in judge.chunks.get().error
    with pytest.raises(CannotRun):
        runs.retry_failed(judge)
    settings.JUDGE_URL = "http://localhost:1/v1"
    assert runs.retry_failed(judge) == 1
    judge.refresh_from_db()
    assert (judge.judge.name, runs.progress(judge).state) == ("gpt", "waiting")


def test_cancelling_a_recipe_stops_its_run_and_plans_nothing_more(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Signals(), Consensus("majority")))
    runs.cancel_recipe(recipe)
    assert work_off(recipe) == ["signals cancelled"]


def answer(batch: ReviewBatch, user, *, only: int | None = None) -> None:
    judge = judgments.human_judge(batch.dataset.workspace, user)
    for item in batch.items.order_by("position")[:only]:
        judgments.record(item.pair, judge, strength=1)
    runs.reviews_answered(batch.dataset)


def test_a_review_waits_until_enough_people_answered_and_then_the_recipe_goes_on(dataset, pairs, other, annotator, annotator_two):
    recipe = runs.start_recipe(dataset, plan(Review(policy="random", share=None, n=2, overlap=2), Consensus("majority")))
    assert work_off(recipe) == ["review reviewing"]
    run = recipe.runs.get()
    batch = run.review_batch
    assert (runs.progress(run).n_done, runs.progress(run).n_pairs) == (0, 4)
    answer(batch, annotator)
    answer(batch, annotator_two, only=1)
    assert (runs.progress(run).n_done, runs.progress(run).state) == (3, "reviewing")
    judgments.record(
        batch.items.last().pair, judgments.human_judge(dataset.workspace, annotator_two), strength=None, tie_kind="cannot_judge"
    )
    assert runs.reviews_answered(other) == 0
    assert runs.reviews_answered(dataset) == 1
    assert work_off(recipe) == ["review done", "consensus done"]


def test_a_review_that_finds_nobody_to_ask_for_is_done_at_once(dataset, pairs, annotator):
    judge = judgments.human_judge(dataset.workspace, annotator)
    for pair in pairs:
        judgments.record(pair, judge, strength=1)
    recipe = runs.start_recipe(dataset, plan(Review(policy="random", share=0.5), Consensus("majority")))
    assert work_off(recipe) == ["review done", "consensus done"]


def test_a_curator_can_go_on_with_the_answers_there_are(dataset, pairs, annotator):
    recipe = runs.start_recipe(dataset, plan(Review(policy="random", share=None, n=3), Consensus("majority")))
    work_off(recipe)
    run = recipe.runs.get()
    answer(run.review_batch, annotator, only=1)
    runs.finish_review(run)
    assert work_off(recipe) == ["review done", "consensus done"]
    assert ReviewBatch.objects.get().closed_at is not None


def test_cancelling_a_review_closes_its_batch(dataset, pairs):
    recipe = runs.start_recipe(dataset, plan(Review(policy="random", share=None, n=3)))
    work_off(recipe)
    runs.cancel_recipe(recipe)
    assert ReviewBatch.objects.get().closed_at is not None


# Messages


def test_a_broker_that_is_away_costs_nothing_but_a_log_line(
    dataset, pairs, django_capture_on_commit_callbacks, caplog, monkeypatch
):
    from config.celery import app

    monkeypatch.setattr(app, "send_task", lambda *args, **fields: (_ for _ in ()).throw(ConnectionRefusedError("no broker")))
    with django_capture_on_commit_callbacks(execute=True):
        run = reward_run(dataset)
    assert "no broker" in caplog.text
    assert drained(run).state == "done"


def test_the_sweep_asks_again_for_runs_nobody_works_on_and_leaves_the_others_alone(dataset, pairs, other):
    forgotten, worked_on, foreign_queue = reward_run(dataset), reward_run(dataset), runs.start_run(other, "signals")
    chunks.claim(worked_on)
    Run.objects.update(woken_at=timezone.now() - timedelta(minutes=2))
    assert runs.wake_stalled(["gpu"]) == 1
    forgotten.refresh_from_db()
    foreign_queue.refresh_from_db()
    assert timezone.now() - forgotten.woken_at < timedelta(minutes=1) < timezone.now() - foreign_queue.woken_at
    assert runs.wake_stalled(["gpu"]) == 0
    assert runs.wake_stalled(["gpu"], at_once=True) == 1
