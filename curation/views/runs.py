"""Runs and recipes: start them, watch them, stop them, try failed parts again."""

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from curation import recipes, run_lists
from curation import runs as engine
from curation.access import CURATORS, READERS, dataset_for
from curation.listing import whole
from curation.models import ChunkState, Dataset, Pair, Recipe, Run
from curation.recipe_form import RecipeForm, estimate

PAGE = 25
MOST_ERRORS = 20


def runs(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    before = whole(request.GET.get("before"))
    rows = run_lists.recent(found, n=PAGE + 1, before=before)
    context = {
        "dataset": found,
        "runs": rows[:PAGE],
        "older": rows[PAGE - 1].run.pk if len(rows) > PAGE else None,
        "recipes": [] if before else recipe_rows(found),
    }
    return render(request, "curation/runs.html", context)


def recipe_rows(dataset: Dataset) -> list[dict[str, Any]]:
    """The last recipes with how far each is."""
    rows = []
    for recipe in Recipe.objects.filter(dataset=dataset).select_related("created_by").order_by("-pk")[:5]:
        steps = run_lists.steps_of(recipe)
        now = next((step for step in steps if step.run and step.run.open), None)
        done = sum(step.state == "done" for step in steps)
        rows.append(
            {"recipe": recipe, "state": run_lists.recipe_state(recipe, steps), "done": done, "total": len(steps), "now": now}
        )
    return rows


def recipe_start(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    """The form with its estimate (GET, also by htmx while someone types), and the start itself (POST)."""
    found = dataset_for(request, workspace, dataset, CURATORS)
    given = request.POST if request.method == "POST" else request.GET if "recipe" in request.GET else None
    form = RecipeForm(given, dataset=found)
    if request.method == "POST" and form.is_valid():
        try:
            seen = whole(request.POST.get("seen"), most=2**63)
            started = engine.start_recipe(found, form.made, user=request.user, seen=seen)
        except (engine.CannotRun, recipes.BadRecipe) as problem:
            form.add_error(None, str(problem))
        else:
            return redirect("recipe", workspace, dataset, started.pk)
    n_pairs = Pair.objects.filter(dataset=found).count()
    context = {
        "dataset": found,
        "form": form,
        "n_pairs": n_pairs,
        "seen": found.recipes.order_by("-pk").values_list("pk", flat=True).first() or 0,
        "estimate": estimate_of(form, n_pairs),
        **recipe_choices(given),
    }
    page = "curation/recipe_start.html#estimate" if request.htmx else "curation/recipe_start.html"
    return render(request, page, context, status=400 if request.method == "POST" else 200)


def estimate_of(form: RecipeForm, n_pairs: int) -> Any:
    """For what the form holds, or for the recipe as it is where nothing was typed; None where it cannot be built."""
    if not form.is_bound:
        values = {name: field.initial for name, field in form.fields.items()} | form.initial
        return estimate(recipes.build(recipes.DEFAULT, values), n_pairs)
    return estimate(form.made, n_pairs) if form.is_valid() else None


def recipe_choices(given: Any) -> dict[str, Any]:
    listed = {
        name: {"recipe": recipe, "titles": [run_lists.step_words(step.step, recipes.step_params(step)) for step in recipe.steps]}
        for name, recipe in recipes.RECIPES.items()
    }
    chosen = given.get("recipe") if given else recipes.DEFAULT
    return {"recipes": listed.items(), "chosen": chosen if chosen in listed else recipes.DEFAULT}


def recipe(request: HttpRequest, workspace: str, dataset: str, recipe_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    shown = get_object_or_404(Recipe.objects.select_related("created_by"), dataset=found, pk=recipe_id)
    steps = run_lists.steps_of(shown)
    state = run_lists.recipe_state(shown, steps)
    context = {
        "dataset": found,
        "recipe": shown,
        "steps": steps,
        "state": state,
        "open": state not in ("done", "failed", "cancelled"),
    }
    return render(request, "curation/recipe.html#live" if request.htmx else "curation/recipe.html", context)


@require_POST
def recipe_cancel(request: HttpRequest, workspace: str, dataset: str, recipe_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    engine.cancel_recipe(get_object_or_404(Recipe, dataset=found, pk=recipe_id))
    messages.success(request, "The recipe is cancelled. What its runs stored stays.")
    return redirect("recipe", workspace, dataset, recipe_id)


def one_run(dataset: Dataset, run_id: int) -> Run:
    return get_object_or_404(
        Run.objects.select_related("dataset__workspace", "judge", "recipe", "created_by"), dataset=dataset, pk=run_id
    )


def run(request: HttpRequest, workspace: str, dataset: str, run_id: int) -> HttpResponse:
    """The page polls its own live part every two seconds until the run is over."""
    found = dataset_for(request, workspace, dataset, READERS)
    shown = one_run(found, run_id)
    progress = engine.progress(shown)
    context = {
        "dataset": found,
        "run": shown,
        "row": run_lists.with_chunks([shown])[0],
        "progress": progress,
        "shown_share": f"{progress.share:.4f}" if progress.n_pairs or progress.state == "done" else "0",
        "unit": "judgments" if shown.step == "review" else "pairs",
        "report": run_lists.report_rows(shown.report),
        **chunk_facts(shown),
    }
    return render(request, "curation/run.html#live" if request.htmx else "curation/run.html", context)


def chunk_facts(run: Run) -> dict[str, Any]:
    """What went wrong, and who works on it."""
    troubled = run.chunks.exclude(error="").exclude(state=ChunkState.DONE).order_by("id")
    return {
        "errors": troubled[:MOST_ERRORS],
        "n_errors": troubled.count(),
        "workers": list(
            run.chunks.filter(state=ChunkState.LEASED).order_by("worker").values_list("worker", flat=True).distinct()
        ),
    }


@require_POST
def run_cancel(request: HttpRequest, workspace: str, dataset: str, run_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    engine.cancel(one_run(found, run_id))
    messages.success(request, "The run is cancelled. What it stored stays.")
    return redirect("run", workspace, dataset, run_id)


@require_POST
def run_retry(request: HttpRequest, workspace: str, dataset: str, run_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    try:
        n = engine.retry_failed(one_run(found, run_id))
        messages.success(request, f"{n} part{'' if n == 1 else 's'} of the run will be tried again.")
    except engine.CannotRun as problem:
        messages.error(request, str(problem))
    return redirect("run", workspace, dataset, run_id)


@require_POST
def run_finish(request: HttpRequest, workspace: str, dataset: str, run_id: int) -> HttpResponse:
    """Go on without the answers that people still owe."""
    found = dataset_for(request, workspace, dataset, CURATORS)
    engine.finish_review(one_run(found, run_id))
    messages.success(request, "The review is closed; the answers given so far count.")
    return redirect("run", workspace, dataset, run_id)
