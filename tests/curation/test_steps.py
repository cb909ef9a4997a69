"""What each step stores, on real back-ends: the scripted one, and a head trained here."""

import numpy as np
import pytest

from curation import decisions, judgments, people, recipes, runs
from curation.models import Consensus, Dataset, Decision, Embedding, Judge, JudgeKind, Judgment, Pool, Reward, Run, SignalValue
from curation.recipes import Decide, Embed, LlmJudge, Recipe, Signals, TrainHead
from curation.recipes import Reward as RewardStep
from curation.steps import heads
from curation.steps.base import CannotRun
from curation.types import STORED_LABEL
from models_runtime.types import ModelSpec
from tests.builders import make_pair

EMBEDDER = ModelSpec("scripted", "vectors", params={"dimensions": 16})


@pytest.fixture
def pairs(dataset):
    return [make_pair(dataset, number) for number in range(40)]


@pytest.fixture
def other(workspace) -> Dataset:
    found = people.get_or_create_dataset(workspace, "others")
    make_pair(found, 99)
    return found


@pytest.fixture(autouse=True)
def models_folder(settings, tmp_path):
    """Heads of a test go to the test's own folder."""
    settings.PATHS = type(settings.PATHS)(tmp_path)
    heads.load.cache_clear()


def drained(run: Run) -> runs.Progress:
    while runs.drain(run.pk, seconds=60):
        pass
    run.refresh_from_db()
    return runs.progress(run)


def done(dataset: Dataset, step: recipes.Step, **fields) -> Run:
    run = runs.start_run(dataset, step, **fields)
    assert drained(run).state == "done", list(run.chunks.values_list("error", flat=True))
    return run


def store_labels(dataset: Dataset, pairs, strength=lambda pair: 2 if pair.pk % 3 else -2) -> None:
    judge = judgments.model_judge(dataset.workspace, JudgeKind.IMPORTED, STORED_LABEL, spec={})
    rows = [judgments.NewJudgment(pair.pk, judge, strength(pair)) for pair in pairs]
    judgments.record_many(rows, dataset=dataset)


def people_say(dataset: Dataset, user, pairs, strength: int) -> None:
    for pair in pairs:
        judgments.record(pair, judgments.human_judge(dataset.workspace, user), strength=strength)


# signals


def test_signals_are_measured_once_and_again_only_when_what_they_look_at_changed(dataset, pairs, other):
    first = done(dataset, Signals())
    n = SignalValue.objects.count()
    assert SignalValue.objects.values("pair").distinct().count() == 40
    assert done(dataset, Signals()).key == first.key
    assert SignalValue.objects.count() == n
    store_labels(dataset, pairs[:1])
    assert done(dataset, Signals()).key != first.key
    assert done(dataset, Signals(names=("length_difference",))).key == done(dataset, Signals(names=("length_difference",))).key


def test_a_signal_added_later_is_computed_for_the_pairs_that_lack_it(dataset, pairs):
    run = done(dataset, Signals(names=("length_difference",)))
    SignalValue.objects.filter(pair=pairs[3]).delete()
    again = runs.start_run(dataset, Signals(names=("length_difference",)))
    drained(again)
    assert (again.key, sum(again.chunks.values_list("n_values", flat=True))) == (run.key, 1)


# embed


def test_equal_contents_are_embedded_once_also_across_datasets(dataset, pairs, other):
    copy = make_pair(other, 0)
    done(dataset, Embed(EMBEDDER))
    assert Embedding.objects.count() == 3 * 40
    run = done(other, Embed(EMBEDDER))
    assert Embedding.objects.count() == 3 * 41
    assert sum(run.chunks.values_list("n_values", flat=True)) == 3
    assert bytes(copy.prompt.content_hash) in {bytes(row.content_hash) for row in Embedding.objects.all()}


# judge


def test_a_judge_is_asked_in_both_orders_and_unreadable_answers_stay_raw_and_counted(dataset, pairs):
    script = [["What is 7 + 7?", "I would rather not say."], ["What is", "Both are fine.\n\n[[A]]"]]
    model = ModelSpec("scripted", "judge", params={"completions": script})
    run = done(dataset, LlmJudge(model))
    assert run.judge.kind == JudgeKind.LLM_JUDGE
    asked = Judgment.objects.filter(judge=run.judge)
    assert asked.filter(order_shown="ab").count() == asked.filter(order_shown="ba").count() == 40
    unread = asked.filter(pair=pairs[7])
    assert {(row.tie_kind, row.strength, row.raw_output) for row in unread} == {("unreadable", None, "I would rather not say.")}
    assert runs.progress(run).n_missing == 1
    # "[[A]]" means whatever was shown first: the other response in the other order.
    assert {(row.order_shown, row.strength) for row in asked.filter(pair=pairs[8])} == {("ab", -1), ("ba", 1)}
    assert asked.first().detail["prompt_tokens"] > 0


def test_asking_again_asks_nothing_and_another_template_or_wording_is_another_judge(dataset, pairs):
    model = ModelSpec("scripted", "judge")
    first = done(dataset, LlmJudge(model))
    assert done(dataset, LlmJudge(model)).judge == first.judge
    assert Judgment.objects.count() == 80
    assert done(dataset, LlmJudge(model, max_tokens=9)).judge != first.judge
    assert Judgment.objects.count() == 160


def test_more_samples_are_more_occasions(dataset, pairs):
    done(dataset, LlmJudge(ModelSpec("scripted", "judge"), samples=2, temperature=1.0))
    assert set(Judgment.objects.values_list("occasion", flat=True)) == {0, 1}
    assert Judgment.objects.count() == 160


# train_head and reward


def test_a_head_learns_from_people_and_scores_every_pair_of_its_dataset(dataset, pairs, other, annotator):
    done(dataset, Embed(EMBEDDER))
    people_say(dataset, annotator, pairs[:30], 2)
    run = done(dataset, TrainHead(EMBEDDER, labels="gold"))
    run.refresh_from_db()
    assert (run.report["n_gold"], run.report["n_stored"]) == (30, 0)
    head = Judge.objects.get(pk=run.report["judge"])
    assert (head.kind, head.method) == (JudgeKind.REWARD_MODEL, "pairs")
    scored = done(dataset, RewardStep())
    assert scored.judge == head
    assert Reward.objects.filter(judge=head).count() == 80
    assert Judgment.objects.filter(judge=head).count() == 40
    with pytest.raises(CannotRun, match="train_head"):
        runs.start_run(other, RewardStep())


def test_training_the_same_again_gives_the_same_judge_and_a_new_label_another(dataset, pairs, annotator):
    done(dataset, Embed(EMBEDDER))
    store_labels(dataset, pairs)
    found = []
    for number in range(3):
        if number == 2:
            people_say(dataset, annotator, pairs[:1], -3)
        run = done(dataset, TrainHead(EMBEDDER))
        run.refresh_from_db()
        found.append(run.report["judge"])
    assert found[0] == found[1] != found[2]


def test_no_pair_is_scored_by_a_head_that_was_trained_on_its_label(dataset, pairs):
    """Turning one pair's label round must leave that pair's own reward as it was, because only its fold's head scores it."""
    done(dataset, Embed(EMBEDDER))
    store_labels(dataset, pairs)
    done(dataset, TrainHead(EMBEDDER, labels="stored", least_gold=1))
    before = done(dataset, RewardStep()).judge
    stored = Judgment.objects.get(pair=pairs[5], judge__name=STORED_LABEL)
    judgments.record(pairs[5], stored.judge, strength=-stored.strength, supersedes=stored)
    done(dataset, TrainHead(EMBEDDER, labels="stored", least_gold=1))
    after = done(dataset, RewardStep()).judge
    assert before != after

    def direction(judge: Judge, pair) -> float:
        values = dict(Reward.objects.filter(judge=judge).values_list("response_id", "value"))
        return values[pair.response_b_id] - values[pair.response_a_id]

    # Its scale (the temperature) is shared by all folds and may move; nothing else of it may.
    ratio = direction(after, pairs[5]) / direction(before, pairs[5])
    same_fold = [
        pair
        for pair in pairs
        if heads.fold_of(pair.prompt_id, 5, 0) == heads.fold_of(pairs[5].prompt_id, 5, 0) and pair != pairs[5]
    ]
    assert same_fold
    for pair in same_fold:
        assert direction(after, pair) / direction(before, pair) == pytest.approx(ratio)
    rest = [pair for pair in pairs if pair not in same_fold and pair != pairs[5]]
    ratios = [direction(after, pair) / direction(before, pair) for pair in rest]
    assert not np.allclose(ratios, ratio)


def test_people_overrule_the_stored_label_and_split_people_teach_nothing(dataset, pairs, annotator, annotator_two):
    done(dataset, Embed(EMBEDDER))
    store_labels(dataset, pairs)
    people_say(dataset, annotator, pairs[:25], 1)
    people_say(dataset, annotator_two, pairs[:2], -1)
    run = done(dataset, TrainHead(EMBEDDER, labels="auto"))
    run.refresh_from_db()
    assert (run.report["n_gold"], run.report["n_stored"]) == (23, 15)


def test_without_labels_there_is_nothing_to_train_on_and_the_run_says_so(dataset, pairs):
    done(dataset, Embed(EMBEDDER))
    run = runs.start_run(dataset, TrainHead(EMBEDDER))
    assert drained(run).state == "failed"
    chunk = run.chunks.get()
    assert (chunk.attempts, "no labels" in chunk.error) == (1, True)


def test_a_recipe_without_labels_goes_on_without_a_head_and_says_so(dataset, pairs):
    recipe = runs.start_recipe(dataset, Recipe("mine", (Embed(EMBEDDER), TrainHead(EMBEDDER), RewardStep(), Decide())))
    for number in range(4):
        assert drained(recipe.runs.get(step_no=number)).state == "done"
    assert "no labels" in recipe.runs.get(step="train_head").report["skipped"]
    assert runs.progress(recipe.runs.get(step="reward")).n_missing == 40
    assert not Reward.objects.exists()


def test_a_head_missing_on_this_machine_is_named(dataset, pairs):
    done(dataset, Embed(EMBEDDER))
    store_labels(dataset, pairs)
    run = done(dataset, TrainHead(EMBEDDER))
    run.refresh_from_db()
    head = Judge.objects.get(pk=run.report["judge"])
    for path in sorted(heads.folder_of(head.spec["model"]["checkpoint"]).rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    scoring = runs.start_run(dataset, RewardStep())
    assert drained(scoring).state == "failed"
    assert "train it again" in scoring.chunks.first().error


# decide


def test_deciding_writes_one_reasoned_decision_per_pair_and_repeating_writes_none(dataset, pairs, other, annotator):
    store_labels(dataset, pairs)
    people_say(dataset, annotator, pairs[:10], 2)
    run = done(dataset, Decide())
    assert Decision.objects.filter(dataset=dataset).count() == 40
    assert not Decision.objects.filter(dataset=other).exists()
    assert set(Decision.objects.filter(pair__in=pairs[:10]).values_list("pool_after", flat=True)) == {Pool.GOLD}
    again = done(dataset, Decide())
    assert (run.key == again.key, Decision.objects.count()) == (True, 40)


def test_the_whole_default_recipe_ends_with_decisions_and_people_were_asked_twice(dataset, pairs, annotator):
    store_labels(dataset, pairs)
    made = recipes.build("verify_and_scale", {"seed_share": 0.1, "review_share": 0.2})
    steps = tuple(
        type(step)(**{**{name: getattr(step, name) for name in recipes.step_params(step)}, "model": EMBEDDER})
        if isinstance(step, Embed | TrainHead)
        else step
        for step in made.steps
    )
    recipe = runs.start_recipe(dataset, Recipe("mine", steps))
    asked = []
    for _ in range(30):
        run = recipe.runs.order_by("-step_no").first()
        state = drained(run).state
        if state == "reviewing":
            asked.append(run.review_batch.items.count())
            people_say(dataset, annotator, [item.pair for item in run.review_batch.items.select_related("pair")], 2)
            runs.reviews_answered(dataset)
        if run.step_no + 1 == len(steps):
            break
    assert asked == [4, 8]
    assert [runs.progress(run).state for run in recipe.runs.order_by("step_no")] == ["done"] * len(steps)
    assert Decision.objects.count() == 40
    assert Consensus.objects.filter(dataset=dataset).count() == 40
    gold = [pair for pair in pairs if decisions.label_in_force(pair) == 2.0]
    assert len(gold) >= 12
