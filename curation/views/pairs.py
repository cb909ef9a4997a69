"""The list of pairs, one pair with everything known about it, and a curator's decision by hand."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from curation import decisions, listing, versions
from curation.access import CURATORS, READERS, dataset_for
from curation.listing import PairFilters
from curation.models import Action, Consensus, Dataset, Decision, Judge, Judgment, Pair, Pool, Reward, SignalValue

MOST_JUDGMENTS = 500  # shown on one page; the rest is counted


def pairs(request: HttpRequest, workspace: str, dataset: str) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    filters, size = PairFilters.of(request.GET), listing.page_size(request.GET)
    after, before = listing.whole(request.GET.get("after")), listing.whole(request.GET.get("before"))
    page = listing.pairs_page(found, filters, after=after, before=before, size=size)
    context = {"dataset": found, "page": page, "filters": filters, "size": size, **choices(found)}
    return render(request, "curation/pairs.html", {**context, "carried": carried(request)})


def choices(dataset: Dataset) -> dict[str, Any]:
    """What the filter form offers."""
    used = Judgment.objects.filter(dataset=dataset).values("judge").distinct()
    judges = list(Judge.objects.filter(pk__in=used).order_by("kind", "name", "method", "-pk")[:200])
    return {
        "pools": Pool.choices,
        "actions": Action.choices,
        "reasons": sorted({reason for _, reason in listing.reasons(dataset)}),
        "judges": judges,
        "versions": versions_of(judges),
        "relations": listing.RELATIONS.items(),
        "sizes": listing.PAGE_SIZES,
    }


def carried(request: HttpRequest) -> str:
    """The list's filters as a query string for links to a pair, so that previous and next stay within them."""
    kept = request.GET.copy()
    for name in ("after", "before"):
        kept.pop(name, None)
    return f"?{kept.urlencode()}" if kept else ""


def pair(request: HttpRequest, workspace: str, dataset: str, pair_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, READERS)
    shown = get_object_or_404(
        Pair.objects.select_related("prompt", "response_a", "response_b", "imported"), dataset=found, pk=pair_id
    )
    before, after = listing.neighbours(found, PairFilters.of(request.GET), shown)
    context = {"dataset": found, "pair": shown, "before": before, "after": after, "carried": carried(request)}
    return render(request, "curation/pair.html", {**context, **everything_about(found, shown)})


def everything_about(dataset: Dataset, pair: Pair) -> dict[str, Any]:
    """All that was said, measured and decided about a pair."""
    told = Judgment.objects.filter(pair=pair).select_related("judge", "superseded_by", "run").order_by("created_at", "id")
    stored = listing.pair_rows(dataset, [pair.pk])[0].stored
    judgments, rewards = told[:MOST_JUDGMENTS], reward_rows(pair)
    return {
        "judgments": judgments,
        "versions": versions_of([*(each.judge for each in judgments), *(row.judge for row in rewards)]),
        "most_judgments": MOST_JUDGMENTS,
        "rewards": rewards,
        "signals": SignalValue.objects.filter(pair=pair).order_by("name", "-id").distinct("name"),
        "consensuses": Consensus.objects.filter(pair=pair).order_by("method"),
        "decisions": Decision.objects.filter(pair=pair).select_related("run", "user").order_by("-id")[:100],
        "reviews": pair.review_items.select_related("batch").order_by("id"),
        "stored": stored,
        "label": decisions.label_in_force(pair),
        "hand_choices": decisions.CHOICES.items(),
    }


def versions_of(judges: Iterable[Judge]) -> dict[int, versions.Version]:
    return versions.among((each.pk, each.kind, each.name, each.method, each.version) for each in judges)


@dataclass(frozen=True)
class RewardRow:
    """What one judge gave to the two responses; None where it gave nothing."""

    judge: Judge
    a: float | None
    b: float | None

    @property
    def margin(self) -> float | None:
        """b minus a: above zero says that B is better, as everywhere."""
        return None if self.a is None or self.b is None else self.b - self.a


def reward_rows(pair: Pair) -> list[RewardRow]:
    values: dict[int, dict[int, float]] = {}
    judges: dict[int, Judge] = {}
    given = Reward.objects.filter(response__in=[pair.response_a_id, pair.response_b_id]).select_related("judge")
    for reward in given.order_by("judge"):
        judges[reward.judge_id] = reward.judge
        values.setdefault(reward.judge_id, {})[reward.response_id] = reward.value
    return [RewardRow(judges[key], found.get(pair.response_a_id), found.get(pair.response_b_id)) for key, found in values.items()]


@require_POST
def pair_decide(request: HttpRequest, workspace: str, dataset: str, pair_id: int) -> HttpResponse:
    found = dataset_for(request, workspace, dataset, CURATORS)
    decided = get_object_or_404(Pair, dataset=found, pk=pair_id)
    try:
        after = decisions.decide_by_hand(
            decided,
            user=request.user,
            choice=request.POST.get("choice", ""),
            note=request.POST.get("note", "")[:2000].replace("\x00", ""),
            seen=listing.whole(request.POST.get("seen"), most=2**63),
        )
        messages.success(request, f"Decided. The pair is now {after.get_pool_after_display().lower()}.")
    except decisions.Refused as refusal:
        messages.error(request, str(refusal))
    address = reverse("pair", args=(workspace, dataset, pair_id))
    return redirect(f"{address}{carried(request)}")
