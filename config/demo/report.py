"""How much better the labels became: the stored labels and the released ones, held against the known truth."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Count

from config.demo.generator import DemoPair
from curation.models import Dataset, Decision, Judgment, Pair, Release


def right_is_a(pair: Pair, truth: Mapping[str, DemoPair]) -> bool:
    return pair.response_a.messages[-1]["content"] == truth[pair.external_id].right


def measure(dataset: Dataset, release: Release, truth: Mapping[str, DemoPair]) -> dict[str, Any]:
    """The figures of demo.json. Errors are shares: before, of all stored labels; after, of all released rows.

    The stored labels of the released pairs alone show how much comes from mending labels, how much from leaving pairs out.
    """
    pairs = dataset.pairs.count()
    rows = list(release.rows.select_related("pair__response_a"))
    wrong = sum((row.chosen == "a") != right_is_a(row.pair, truth) for row in rows)
    stored_wrong = sum(not truth[row.pair.external_id].stored_is_right for row in rows)
    judged = Judgment.objects.filter(dataset=dataset, judge__user__isnull=False, superseded_by=None, retracted=False)
    reasons = Decision.objects.filter(dataset=dataset, run__isnull=False).values("action", "reason").annotate(n=Count("id"))
    return {
        "pairs": pairs,
        "label_error_before": round(sum(not pair.stored_is_right for pair in truth.values()) / pairs, 4),
        "label_error_after": round(wrong / release.n_rows, 4),
        "label_error_before_of_released": round(stored_wrong / release.n_rows, 4),
        "human_labels": judged.count(),
        "pairs_judged_by_people": judged.values("pair").distinct().count(),
        "released": release.n_rows,
        "release_hash": release.content_hash,
        "decisions": {f"{row['action']}: {row['reason']}": row["n"] for row in reasons.order_by("-n")},
    }


def table(figures: Mapping[str, Any]) -> str:
    """The figures as text for the terminal."""
    share = figures["pairs_judged_by_people"] / figures["pairs"]
    lines = [
        "",
        f"  pairs                    {figures['pairs']:>8}",
        f"  label error before       {figures['label_error_before']:>8.1%}   stored labels against the known truth",
        f"  label error after        {figures['label_error_after']:>8.1%}   released labels against the known truth",
        f"                           {figures['label_error_before_of_released']:>8.1%}   stored labels of the released pairs",
        f"  human labels             {figures['human_labels']:>8}   on {share:.1%} of the pairs",
        f"  released                 {figures['released']:>8}   {figures['released'] / figures['pairs']:.1%} of the pairs",
        "",
        "  decisions by reason",
    ]
    lines += [f"    {name:<38}{count:>6}" for name, count in figures["decisions"].items()]
    return "\n".join([*lines, ""])
