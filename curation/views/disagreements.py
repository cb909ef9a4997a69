"""Where judges disagree, and sending those pairs to people."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from curation import listing, queries, selection
from curation.access import CURATORS, READERS, dataset_for
from curation.forms import MOST_OVERLAP
from curation.listing import DisagreementFilters
from curation.models import Pool

MOST_CHOSEN = max(listing.PAGE_SIZES)


def disagreement(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    methods = queries.consensus_methods(found)
    method = request.GET["method"] if request.GET.get("method") in methods else next(iter(methods), "")
    filters, size = DisagreementFilters.of(request.GET), listing.page_size(request.GET)
    keys = {name: request.GET.get(name) for name in ("after", "before")}
    context = {
        "dataset": found,
        "method": method,
        "page": listing.disagreements_page(found, method, filters, size=size, **keys),
        "filters": filters,
        "size": size,
        "methods": methods,
        "sorts": listing.SORTS.items(),
        "pools": Pool.choices,
        "sizes": listing.PAGE_SIZES,
    }
    return render(request, "curation/disagreement.html", context)


@require_POST
def review_open(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    """Send the chosen pairs to people: opens a review batch of them."""
    found = dataset_for(request, workspace, dataset, CURATORS)
    chosen = [pk for pk in map(listing.whole, request.POST.getlist("pair")[:MOST_CHOSEN]) if pk is not None]
    overlap = min(MOST_OVERLAP, max(1, listing.whole(request.POST.get("overlap")) or found.overlap))
    back = redirect("disagreement", workspace, dataset)
    if not chosen:
        messages.warning(request, "Nothing was sent: choose at least one pair.")
        return back
    try:
        batch = selection.open_chosen(found, pairs=chosen, overlap=overlap, user=request.user)
    except selection.CannotSelect as refusal:
        messages.info(request, str(refusal))
        return back
    n = batch.items.count()
    messages.success(
        request, f"{n} pair{'' if n == 1 else 's'} sent to people, {overlap} per pair. They are at the judging page now."
    )
    return back
