"""A dataset at a glance: how far its pairs are, what people and models say, and what to do next."""

from copy import copy
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse

from curation import people, people_agreement, queries, run_lists, versions
from curation.access import CURATORS, READERS, dataset_for
from curation.forms import DatasetForm
from curation.models import Dataset, Import, Pool

RECIPE = "Run a recipe"
JOURNEY = ("Import", RECIPE, "People judge", "Release")


def dataset(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    funnel = queries.funnel(found)
    method = next(iter(queries.consensus_methods(found)), "")
    recent = run_lists.recent(found, n=6)
    batches = queries.open_batches(found)
    releases = list(found.releases.order_by("-version")[:5])
    following = next_action(found, funnel=funnel, runs=recent, batches=batches, releases=releases)
    context = {
        "dataset": found,
        "funnel": funnel,
        "n_pairs": sum(pool.n for pool in funnel),
        "method": method,
        "runs": recent,
        "batches": [batch for batch in batches if batch["answered"] < batch["wanted"]],
        "n_answered_batches": sum(batch["answered"] >= batch["wanted"] for batch in batches),
        "releases": releases,
        "imports": Import.objects.filter(dataset=found).exclude(state=Import.State.DONE).order_by("-id")[:5],
        # People can be asked without a recipe, so what comes before the next stage need not have been done.
        "journey": [(name, stage < following.stage and (name != RECIPE or bool(recent))) for stage, name in enumerate(JOURNEY)],
        "next": following,
        "counted": queries.bounded(f"dataset-figures-{found.pk}-{method}", lambda: figures(found, method)),
    }
    return render(request, "curation/dataset.html", context)


def figures(dataset: Dataset, method: str) -> dict[str, Any]:
    """What costs a pass over the ledger."""
    judges = queries.judges_table(dataset, method=method)
    return {
        "judges": judges,
        "versions": versions.among((row["id"], row["kind"], row["name"], row["method"], row["version"]) for row in judges),
        "labels": queries.labels_overview(dataset, method=method),
        "people": people_agreement.of_people(dataset),
    }


@dataclass(frozen=True)
class NextAction:
    """The one thing most worth doing now. stage: 0 import, 1 recipe, 2 people, 3 release."""

    stage: int
    text: str
    label: str
    url: str


def address(name: str, dataset: Dataset, *more: object) -> str:
    arguments = (dataset.workspace.slug, *more) if name == "import_new" else (dataset.workspace.slug, dataset.slug, *more)
    try:
        return reverse(name, args=arguments)
    except NoReverseMatch:
        return ""


def next_action(
    dataset: Dataset, *, funnel: list[queries.PoolCount], runs: list[Any], batches: list[dict[str, Any]], releases: list[Any]
) -> NextAction:
    """Read off what is there: nothing waits for a flag to be set."""
    counts = {pool.pool: pool.n for pool in funnel}
    n_wanted = sum(batch["wanted"] - batch["answered"] for batch in batches)
    going = next((row for row in runs if row.open), None)
    n_ready = counts[Pool.GOLD] + counts[Pool.SILVER] + counts[Pool.RECYCLED]
    if not sum(counts.values()):
        return NextAction(
            0, "There are no pairs yet.", "Import a file", f"{address('import_new', dataset)}?dataset={dataset.slug}"
        )
    if n_wanted:
        text = f"People are asked for {n_wanted:,} more judgment{'' if n_wanted == 1 else 's'}."
        return NextAction(2, text, "Judge pairs", address("judge", dataset))
    if going:
        return NextAction(1, f"A run is going on: {going.title}.", "Watch it", address("run", dataset, going.run.pk))
    if not n_ready:
        text = "No pair has a verified label yet. A recipe lets models and people label them."
        return NextAction(1, text, "Run a recipe", address("recipe_start", dataset))
    if not releases:
        text = f"{n_ready:,} pair{'' if n_ready == 1 else 's'} can be released."
        return NextAction(3, text, "Cut a release", address("releases", dataset))
    if dataset.decisions.filter(created_at__gt=releases[0].created_at).exists():
        return NextAction(
            3, f"Decisions were made since release {releases[0].version}.", "Cut a new release", address("releases", dataset)
        )
    return NextAction(
        3,
        "Everything decided is released. Look at where judges still disagree.",
        "Disagreement",
        address("disagreement", dataset),
    )


def dataset_settings(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    form = DatasetForm(request.POST or None, instance=copy(found))  # a refused value must not show in the page's own head
    if request.method == "POST" and form.is_valid():
        people.change_settings(found, **form.cleaned_data)
        messages.success(request, "Saved.")
        return redirect("dataset", workspace, dataset)
    status = 400 if form.errors else 200
    return render(request, "curation/dataset_settings.html", {"dataset": found, "form": form}, status=status)
