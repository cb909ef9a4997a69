"""Starting runs and recipes, and the way from one step to the next. Part of the only writer of runs (curation/runs.py)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Max, Min
from django.utils import timezone

from curation import code, recipes, waking
from curation.models import Chunk, ChunkState, Dataset, Judge, Pair, Recipe, Run, User
from curation.steps import STEPS
from curation.steps.base import CannotRun
from models_runtime.hashing import key_of

UNCOUNTED = ("chunk_size",)  # parameters that cannot change a value

CUT = """
INSERT INTO curation_chunk (run_id, first_pair, last_pair, n_pairs, state, attempts, n_values, n_missing, error, worker)
SELECT %s, min(id), max(id), count(*), 'pending', 0, 0, 0, '', ''
FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / %s AS part FROM curation_pair WHERE dataset_id = %s) numbered
GROUP BY part ORDER BY part
"""


def start_run(
    dataset: Dataset,
    step: recipes.Step | str,
    *,
    params: Mapping[str, Any] | None = None,
    judge: Judge | None = None,
    user: User | None = None,
) -> Run:
    """Plan one step over all pairs of the dataset, by itself. judge: for "reward", a head trained earlier.

    Raises CannotRun when the step lacks something it needs, BadRecipe when a name or a parameter does not exist.
    """
    typed = recipes.step_from(step, params or {}) if isinstance(step, str) else replace(step, **(params or {}))
    with transaction.atomic():
        speaker = judge or STEPS[typed.step].prepare(dataset, typed, None)
        run = create_run(dataset, typed, speaker, user=user)
        cut(run, typed)
        waking.wake(run)
    return run


def start_recipe(
    dataset: Dataset,
    recipe: recipes.Recipe | str,
    *,
    user: User | None = None,
    params: Mapping[str, Any] | None = None,
    seen: int | None = None,
) -> Recipe:
    """Freeze the recipe and plan its first step. `recipe`: one made by hand, or a name for recipes.build() with `params`.

    seen: id of the dataset's latest recipe when the form was made (0: none); the same recipe that this person has started
    since then is returned, so that a form sent twice starts one.
    Every step is checked now, so that a missing server is said before people spend time. Same errors as start_run().
    """
    if params and not isinstance(recipe, str):
        recipe = recipe.name
    made = recipes.build(recipe, params) if isinstance(recipe, str) else recipe
    if not Pair.objects.filter(dataset=dataset).exists():
        raise CannotRun("This dataset has no pairs yet: import some first.")
    with transaction.atomic():
        if seen is not None:
            Dataset.objects.select_for_update(no_key=True).only("pk").get(pk=dataset.pk)
            later = Recipe.objects.filter(dataset=dataset, pk__gt=seen, created_by=user, cancelled_at=None)
            if twin := later.filter(definition=recipes.to_json(made)).order_by("pk").first():
                return twin
        row = Recipe.objects.create(
            dataset=dataset, name=made.name, definition=recipes.to_json(made), code_version=code.version(), created_by=user
        )
        for step in made.steps:
            STEPS[step.step].prepare(dataset, step, row)
        advance(row.pk)
    return row


def create_run(
    dataset: Dataset,
    step: recipes.Step,
    judge: Judge | None,
    *,
    user: User | None,
    recipe: Recipe | None = None,
    step_no: int = 0,
) -> Run:
    return Run.objects.create(
        dataset=dataset, recipe=recipe, step_no=step_no, step=step.step, params=recipes.step_params(step), judge=judge,
        key=run_key(dataset, step, judge), queue=STEPS[step.step].queue(step), created_by=user,
    )  # fmt: skip


def run_key(dataset: Dataset, step: recipes.Step, judge: Judge | None) -> str:
    """Hash of everything that can change a value of this run: step, parameters, judge, source code, where the ledger stands."""
    kind = STEPS[step.step]
    counted = {name: value for name, value in recipes.step_params(step).items() if name not in UNCOUNTED}
    speaker = [judge.kind, judge.name, judge.method, judge.version] if judge else None
    return key_of([step.step, counted, speaker, code.fingerprint(*kind.code), kind.inputs(dataset, step)])


def cut(run: Run, step: recipes.Step) -> None:
    """Chunks of `chunk_size` pairs in order of id, made by the database; one chunk over all pairs for whole steps."""
    if STEPS[step.step].whole:
        bounds = Pair.objects.filter(dataset=run.dataset).aggregate(first=Min("id"), last=Max("id"), n=Count("id"))
        if bounds["n"]:
            Chunk.objects.create(run=run, first_pair=bounds["first"], last_pair=bounds["last"], n_pairs=bounds["n"])
    else:
        with connection.cursor() as cursor:
            cursor.execute(CUT, [run.pk, step.chunk_size, run.dataset_id])
    if not run.chunks.exists():
        raise CannotRun("This dataset has no pairs yet: import some first.")


def advance(recipe_id: int) -> Run | None:
    """Plan the next step of a recipe whose last one is through. Safe to call at any time and from anywhere, also at once."""
    with transaction.atomic():
        row = Recipe.objects.select_for_update().get(pk=recipe_id)
        made = recipes.from_json(row.definition)
        last = row.runs.order_by("-step_no").first()
        number = last.step_no + 1 if last else 0
        if row.cancelled_at or number >= len(made.steps) or (last and not passed(last, made.tolerated_failures)):
            return None
        return plan(row, made.steps[number], number)


def plan(row: Recipe, step: recipes.Step, number: int) -> Run:
    """The run of one step of a recipe. What keeps it from running becomes a failed chunk that a person can read and retry."""
    judge, problem = None, ""
    try:
        judge = STEPS[step.step].prepare(row.dataset, step, row)
    except CannotRun as error:
        problem = str(error)
    run = create_run(row.dataset, step, judge, user=row.created_by, recipe=row, step_no=number)
    if problem:
        Chunk.objects.create(run=run, first_pair=0, last_pair=0, n_pairs=0, state=ChunkState.FAILED, error=problem, attempts=1)
        Run.objects.filter(pk=run.pk).update(finished_at=timezone.now(), report={"not_planned": True})
    else:
        cut(run, step)
        waking.wake(run)
    return run


def plan_again(run: Run) -> None:
    """A run that could not be planned before: check again, then cut it. Raises CannotRun while the reason stands."""
    step = recipes.step_from(run.step, run.params)
    run.judge = STEPS[run.step].prepare(run.dataset, step, run.recipe)
    run.key = run_key(run.dataset, step, run.judge)
    run.report, run.finished_at = {}, None
    run.save(update_fields=["judge", "key", "report", "finished_at"])
    run.chunks.all().delete()
    cut(run, step)
    waking.wake(run)


def passed(run: Run, tolerated: float) -> bool:
    """Whether a recipe may go on after this run: it is finished, and so few chunks failed that the rest is worth it."""
    if run.finished_at is None or run.cancelled_at is not None or run.report.get("not_planned"):
        return False
    totals = run.chunks.values("state").annotate(n=Count("id"))
    by_state = {row["state"]: row["n"] for row in totals}
    return by_state.get(ChunkState.FAILED, 0) <= tolerated * sum(by_state.values())
