"""How far the people of a dataset agree: reads the ledger, counts, and leaves the figures to curation/agreement.py."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from django.db.models import Count
from numpy.typing import NDArray

from curation import agreement, judgments
from curation.models import Dataset, Judge, JudgeKind

SIDES = (-1, 0, 1)  # a better, tie, b better
STRENGTHS = (-3, -2, -1, 0, 1, 2, 3)
MOST_PAIRS_OF_JUDGES = 200


@dataclass(frozen=True)
class HumanLabels:
    """One entry per person and pair: the last label of each, in arrays of the same length."""

    pair: NDArray[np.int64]  # from 0, without gaps
    judge: NDArray[np.int64]
    strength: NDArray[np.int8]
    n_pairs: int


def human_labels(dataset: Dataset, *, most_shared: int | None = None) -> HumanLabels:
    """Current judgments with a verdict by judges of kind human; of repeated ones the last. Ties of every kind are one label.

    most_shared: only the newest so many of the pairs that two or more people judged.
    """
    found = judgments.current(dataset).filter(judge__kind=JudgeKind.HUMAN, strength__isnull=False)
    if most_shared is not None:
        shared = found.values("pair_id").annotate(n=Count("judge", distinct=True)).filter(n__gt=1).order_by("-pair_id")
        found = found.filter(pair__in=list(shared.values_list("pair_id", flat=True)[:most_shared]))
    rows = found.order_by("pair_id", "judge_id", "occasion", "id").values_list("pair_id", "judge_id", "strength")
    table = np.fromiter(rows.iterator(chunk_size=20_000), dtype=np.dtype((np.int64, 3)))
    last = np.ones(len(table), bool)
    last[:-1] = (table[1:, :2] != table[:-1, :2]).any(axis=1)
    pair_ids, pair = np.unique(table[last, 0], return_inverse=True)
    return HumanLabels(pair, table[last, 1], table[last, 2].astype(np.int8), len(pair_ids))


def report(dataset: Dataset) -> dict[str, Any]:
    """Kappa of every two people who share pairs, Fleiss' kappa, Krippendorff's alpha and what the majority of each pair says.

    An undefined figure is None, and `notes` says why under its name.
    """
    labels = human_labels(dataset)
    sides = agreement.label_counts(labels.pair, np.sign(labels.strength), SIDES, n_pairs=labels.n_pairs)
    strengths = agreement.label_counts(labels.pair, labels.strength, STRENGTHS, n_pairs=labels.n_pairs)
    figures = {
        "fleiss_kappa": agreement.fleiss_kappa(sides),
        "krippendorff_alpha": agreement.krippendorff_alpha(sides, SIDES),
        "krippendorff_alpha_ordinal": agreement.krippendorff_alpha(strengths, STRENGTHS, level="ordinal"),
    }
    leaders = agreement.majorities(sides)
    return {
        "dataset": dataset.slug,
        "pairs": labels.n_pairs,
        "annotators": len(np.unique(labels.judge)),
        "pairwise_cohen_kappa": pairwise(labels),
        **{name: figure.value for name, figure in figures.items()},
        "majority": {name: int((leaders == code).sum()) for name, code in (("a", 0), ("b", 2), ("tie", 1), ("none", -1))},
        "notes": {name: figure.reason for name, figure in figures.items() if figure.reason},
    }


def pairwise(labels: HumanLabels) -> list[dict[str, Any]]:
    """Cohen's kappa of the judges who share most pairs: on verdicts, and on strengths with linear and quadratic weights."""
    pairs_of = {judge: labels.pair[labels.judge == judge] for judge in np.unique(labels.judge).tolist()}
    strengths_of = {judge: labels.strength[labels.judge == judge].astype(float) for judge in pairs_of}
    names = {judge.pk: str(judge) for judge in Judge.objects.filter(pk__in=pairs_of)}
    found = []
    for one, other, n in agreement.pairs_of_judges({j: p.tolist() for j, p in pairs_of.items()}, limit=MOST_PAIRS_OF_JUDGES):
        _, at_one, at_other = np.intersect1d(pairs_of[one], pairs_of[other], assume_unique=True, return_indices=True)
        first, second = strengths_of[one][at_one], strengths_of[other][at_other]
        kappa = agreement.cohen_kappa(np.sign(first), np.sign(second))
        row = {"annotators": [names[one], names[other]], "n": n, "kappa": kappa.value}
        for weights in ("linear", "quadratic"):
            row[f"kappa_{weights}"] = agreement.cohen_kappa(first, second, weights=weights).value
        found.append({**row, "note": kappa.reason} if kappa.reason else row)
    return found
