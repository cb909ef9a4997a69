"""The first page after sign-in: the person's workspaces, their datasets, and what to do in each."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from curation import queries
from curation.access import ANNOTATORS, CURATORS, READERS
from curation.models import Membership, Pool


@login_required
def home(request: HttpRequest) -> HttpResponse:
    found = Membership.objects.filter(user=request.user).select_related("workspace").prefetch_related("workspace__datasets")
    memberships = list(found.order_by("workspace__name", "pk"))
    return render(request, "home.html", {"workspaces": [workspace_view(membership) for membership in with_figures(memberships)]})


def with_figures(memberships: list[Membership]) -> list[Membership]:
    """Put `.shown` (its datasets with `.pools`, `.n_pairs` and `.n_open`) on each membership, in two statements for all of them.

    Pools are counted only where the person's role lets them see them.
    """
    for membership in memberships:
        membership.shown = sorted(membership.workspace.datasets.all(), key=lambda dataset: dataset.name.lower())
    everything = [dataset for membership in memberships for dataset in membership.shown]
    readable = [dataset for membership in memberships if membership.role in READERS for dataset in membership.shown]
    pools = queries.pool_counts(readable) if readable else {}
    open_work = queries.work_for(memberships[0].user, everything) if everything else {}
    for dataset in everything:
        counts = pools.get(dataset.pk, {})
        dataset.n_pairs = sum(counts.values())
        dataset.pools = [(pool.value, pool.label, counts.get(pool.value, 0)) for pool in Pool if counts.get(pool.value)]
        dataset.n_open = open_work.get(dataset.pk, 0)
    return memberships


def workspace_view(membership: Membership) -> dict[str, object]:
    """What the card of one workspace shows."""
    return {
        "workspace": membership.workspace,
        "role": membership.get_role_display(),
        "datasets": membership.shown,
        "reads": membership.role in READERS,
        "annotates": membership.role in ANNOTATORS,
        "curates": membership.role in CURATORS,
    }
