"""How far judges agree beyond chance. Pure: arrays in, figures out; an undefined figure is None with the reason in words.

Counts say how often each label was given to each pair, (n_pairs, n_labels): all that figures over many judges need, in an array
that does not grow with the number of judges. Formulas: Cohen (1960, 1968),
Fleiss (1971), Krippendorff (2011, by the krippendorff library).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.floating]
Weights = Literal["linear", "quadratic"]


@dataclass(frozen=True)
class Figure:
    """value: None where the figure is undefined; reason says why. n: pairs it was computed on."""

    value: float | None
    n: int
    reason: str = ""


def cohen_kappa(one: Labels, other: Labels, *, weights: Weights | None = None) -> Figure:
    """Kappa of two judges on the pairs that both labelled. weights: how far apart two labels count, for labels on a scale."""
    from sklearn.metrics import cohen_kappa_score

    shared = ~(np.isnan(one) | np.isnan(other))
    first, second = one[shared], other[shared]
    if not len(first):
        return Figure(None, 0, "the two judges have no pair in common")
    if len(set(first) | set(second)) == 1:
        return Figure(None, len(first), "both gave one and the same label to every pair, so chance alone would agree as much")
    return Figure(_number(cohen_kappa_score(first, second, labels=_scale(first, second, weights), weights=weights)), len(first))


def _scale(first: Labels, second: Labels, weights: Weights | None) -> list[int] | None:
    """All steps between the lowest and the highest label, so that a step nobody used still counts as distance."""
    if weights is None:
        return None
    both = np.concatenate([first, second])
    return list(range(int(both.min()), int(both.max()) + 1))


def label_counts(pair: NDArray[np.integer], label: NDArray, values: Sequence[float], *, n_pairs: int) -> NDArray[np.int64]:
    """Counts from one entry per label given: `pair` from 0 to n_pairs - 1, `label` one of the sorted `values`."""
    cell = pair.astype(np.int64) * len(values) + np.searchsorted(values, label)
    return np.bincount(cell, minlength=n_pairs * len(values)).reshape(n_pairs, len(values))


def fleiss_kappa(counts: NDArray[np.integer]) -> Figure:
    """Kappa of many judges from label counts per pair (n_pairs, n_labels), the same number of labels on every pair.

    Pairs without labels are left out.
    """
    counts = counts[counts.sum(axis=1) > 0]
    n_judges = counts.sum(axis=1)
    n_pairs = len(counts)
    if not n_pairs:
        return Figure(None, 0, "there are no labels")
    if n_judges.min() != n_judges.max():
        reason = f"pairs have from {n_judges.min()} to {n_judges.max()} labels, and Fleiss' kappa needs as many on each"
        return Figure(None, n_pairs, f"{reason}; Krippendorff's alpha does not")
    n = int(n_judges[0])
    if n < 2:
        return Figure(None, n_pairs, "every pair has a single label, so there is nothing to compare")
    observed = ((counts**2).sum(axis=1) - n).mean() / (n * (n - 1))
    expected = float(((counts.sum(axis=0) / (n_pairs * n)) ** 2).sum())
    if expected == 1:
        return Figure(None, n_pairs, "all judges gave one and the same label to every pair, so chance alone would agree as much")
    return Figure(_number((observed - expected) / (1 - expected)), n_pairs)


def krippendorff_alpha(
    counts: NDArray[np.integer], values: Sequence[float], *, level: Literal["nominal", "ordinal", "interval", "ratio"] = "nominal"
) -> Figure:
    """Alpha of any number of judges with any gaps. values: what the columns stand for; level: what those are to each other."""
    import krippendorff

    compared = counts[counts.sum(axis=1) >= 2]
    if not len(compared):
        return Figure(None, 0, "no pair has labels of two judges")
    named = compared.sum(axis=0) > 0
    if named.sum() < 2:
        reason = "all judges gave one and the same label to every pair, so chance alone would agree as much"
        return Figure(None, len(compared), reason)
    domain = np.asarray(values, dtype=float)[named]
    alpha = krippendorff.alpha(value_counts=compared[:, named], value_domain=domain, level_of_measurement=level)
    return Figure(_number(alpha), len(compared))


def majorities(counts: NDArray[np.floating]) -> NDArray[np.int64]:
    """Column of the label that most votes went to, per pair; -1 where none leads, -2 where there are no votes."""
    ranked = np.sort(counts, axis=1)
    leader = np.where(ranked[:, -1] > ranked[:, -2], counts.argmax(axis=1), -1)
    return np.where(ranked[:, -1] == 0, -2, leader)


def pairs_of_judges(labels_by_judge: Mapping[int, Sequence[int]], *, limit: int) -> Iterator[tuple[int, int, int]]:
    """(judge, judge, pairs in common) for judges that share pairs, those with most in common first, at most `limit` of them.

    labels_by_judge: the pairs each judge labelled. Looks only at judges who meet on a pair: thousands who never do cost nothing.
    """
    by_pair: dict[int, list[int]] = {}
    for judge in sorted(labels_by_judge):
        for pair in labels_by_judge[judge]:
            by_pair.setdefault(pair, []).append(judge)
    shared: dict[tuple[int, int], int] = {}
    for judges in by_pair.values():
        for place, one in enumerate(judges):
            for other in judges[place + 1 :]:
                shared[one, other] = shared.get((one, other), 0) + 1
    ranked = sorted(shared.items(), key=lambda item: (-item[1], item[0]))
    yield from ((one, other, n) for (one, other), n in ranked[:limit])


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
