"""Many judges' votes into one probability per verdict and pair: vote shares, and Dawid-Skene by crowd-kit. Pure arrays.

A judge has one vote per pair. What it said in both orders, or in several samples, is merged first: all alike, that verdict;
otherwise its answers divide the vote. A judge that follows the position rather than the content thereby cancels itself out.
Dawid-Skene counts the verdict that a judge gave most often, and a judge without one as silent on that pair: how it errs when it
sticks to a verdict must not be mixed with how it wavers.

Dawid and Skene (1979) estimates for each judge how often it says each verdict when a, tie or b is true. Which response is
called A means nothing, so every pair enters twice, as it is and mirrored: swapping a pair's responses then mirrors its result
and nothing else, and each judge's errors are learned from twice the evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

A, TIE, B = 0, 1, 2
N_CLASSES = 3
MIRROR = np.array([B, TIE, A], dtype=np.int8)
MAX_FIT_PAIRS = 50_000  # judges' errors are learned from so many pairs at most; all pairs are then judged by them
SMOOTHING = 0.1  # votes of each kind added to every judge's counts, so that one vote proves nothing for certain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Votes:
    """One entry per verdict of one judge on one pair, in three arrays of the same length.

    pair and judge count from 0 without gaps; verdict is A, TIE or B; weights of one judge on one pair add up to 1.
    """

    pair: NDArray[np.int32]
    judge: NDArray[np.int32]
    verdict: NDArray[np.int8]
    weight: NDArray[np.float32]
    n_pairs: int
    n_judges: int


def merge(pair: NDArray, judge: NDArray, verdict: NDArray, *, n_pairs: int, n_judges: int) -> Votes:
    """One vote per judge and pair out of all answers, which may come in any order and repeat. Verdicts as A, TIE, B codes."""
    code = (np.asarray(pair, np.int64) * n_judges + np.asarray(judge, np.int64)) * N_CLASSES + np.asarray(verdict, np.int64)
    said, times = np.unique(code, return_counts=True)
    _, start, place = np.unique(said // N_CLASSES, return_index=True, return_inverse=True)
    answers = np.add.reduceat(times, start) if len(start) else times
    voter = said // N_CLASSES
    return Votes(
        pair=(voter // max(n_judges, 1)).astype(np.int32),
        judge=(voter % max(n_judges, 1)).astype(np.int32),
        verdict=(said % N_CLASSES).astype(np.int8),
        weight=(times / answers[place]).astype(np.float32),
        n_pairs=n_pairs,
        n_judges=n_judges,
    )


def tally(votes: Votes) -> Floats:
    """Votes per pair and verdict, (n_pairs, 3)."""
    cell = votes.pair.astype(np.int64) * N_CLASSES + votes.verdict
    counts = np.bincount(cell, weights=votes.weight, minlength=votes.n_pairs * N_CLASSES)
    return counts.astype(np.float64).reshape(votes.n_pairs, N_CLASSES)


def majority(votes: Votes) -> Floats:
    """Share of the votes per verdict, (n_pairs, 3); rows of pairs without votes are nan."""
    counts = tally(votes)
    total = counts.sum(axis=1, keepdims=True)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def disagreement(shares: Floats) -> Floats:
    """Entropy of each row to base 3: 0 where all say the same, 1 where a, tie and b have a third each. nan rows stay nan."""
    logs = np.log(np.where(shares > 0, shares, 1.0)) / np.log(N_CLASSES)
    return np.abs(-(shares * logs).sum(axis=1))


def dawid_skene(votes: Votes, known: Mapping[int, int] | None = None, *, max_fit_pairs: int = MAX_FIT_PAIRS) -> Floats:
    """Probability of each verdict by Dawid-Skene, (n_pairs, 3); rows of pairs without votes are nan.

    known: verdict codes of pairs whose truth is taken as given. They are held fixed while the judges' errors are learned and
    are the answer for their pairs. Beyond `max_fit_pairs` pairs the errors are learned from the known ones and an even sample.
    """
    known = dict(known or {})
    voted = np.unique(votes.pair)
    firm = leading(votes)
    result = np.full((votes.n_pairs, N_CLASSES), np.nan)
    if len(firm.pair):
        fitted = _sample(firm, np.unique(firm.pair), known, max_fit_pairs)
        prior, errors = _learn(_mirrored(fitted), _mirrored_known(known, votes.n_pairs), n_judges=votes.n_judges)
        result[voted] = _posterior(firm, prior, errors)[voted]
    else:
        result[voted] = majority(votes)[voted]
    for pair, verdict in known.items():
        result[pair] = np.eye(N_CLASSES)[verdict]
    return result


def leading(votes: Votes) -> Votes:
    """Of each judge and pair the verdict with more of the vote than any other, as a whole vote; none where two share the lead."""
    voter = votes.pair.astype(np.int64) * votes.n_judges + votes.judge
    order = np.lexsort((-votes.weight, voter))
    voter, weight = voter[order], votes.weight[order]
    first = np.ones(len(order), bool)
    first[1:] = voter[1:] != voter[:-1]
    shared = np.zeros(len(order), bool)
    shared[:-1] = (voter[1:] == voter[:-1]) & (weight[1:] == weight[:-1])
    keep = np.sort(order[first & ~shared])
    one = np.ones(len(keep), np.float32)
    return Votes(votes.pair[keep], votes.judge[keep], votes.verdict[keep], one, votes.n_pairs, votes.n_judges)


def _sample(votes: Votes, voted: NDArray, known: Mapping[int, int], limit: int) -> Votes:
    """The votes on at most `limit` pairs: the known ones first, then others spread evenly over the dataset."""
    if len(voted) <= limit:
        return votes
    fixed = np.array(sorted(known), dtype=np.int64)[:limit]
    others = np.setdiff1d(voted, fixed)
    wanted = min(limit - len(fixed), len(others))
    spread = others[np.linspace(0, len(others) - 1, wanted).astype(np.int64)] if wanted else others[:0]
    keep = np.isin(votes.pair, np.concatenate([fixed, spread]))
    return Votes(votes.pair[keep], votes.judge[keep], votes.verdict[keep], votes.weight[keep], votes.n_pairs, votes.n_judges)


def _mirrored(votes: Votes) -> Votes:
    """Every pair as it is and, numbered from n_pairs on, with its responses swapped."""
    return Votes(
        pair=np.concatenate([votes.pair, votes.pair + votes.n_pairs]),
        judge=np.concatenate([votes.judge, votes.judge]),
        verdict=np.concatenate([votes.verdict, MIRROR[votes.verdict]]),
        weight=np.concatenate([votes.weight, votes.weight]),
        n_pairs=2 * votes.n_pairs,
        n_judges=votes.n_judges,
    )


def _mirrored_known(known: Mapping[int, int], n_pairs: int) -> dict[int, int]:
    return {**known, **{pair + n_pairs: int(MIRROR[verdict]) for pair, verdict in known.items()}}


def _learn(votes: Votes, known: Mapping[int, int], *, n_judges: int) -> tuple[Floats, Floats]:
    """The share of each class, (3,), and each judge's P(said | true), (n_judges, 3 said, 3 true), by crowd-kit's EM.

    Takes whole votes. Classes that nobody named get share 0.
    """
    truth = fit(votes.pair, votes.judge, votes.verdict, known, mirrored=True)
    classes = np.zeros((votes.n_pairs, N_CLASSES))
    classes[np.ix_(truth.tasks, truth.labels)] = truth.probabilities
    return truth.probabilities_mean(N_CLASSES), error_rates(votes, classes, n_judges=n_judges)


@dataclass(frozen=True)
class Truth:
    """What crowd-kit found: probabilities (tasks, labels), and which task and label each row and column stands for."""

    tasks: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: Floats

    def probabilities_mean(self, n_classes: int) -> Floats:
        mean = np.zeros(n_classes)
        mean[self.labels] = self.probabilities.mean(axis=0)
        return mean


def fit(
    task: NDArray, worker: NDArray, label: NDArray, known: Mapping[int, int] | None = None, *, mirrored: bool = False
) -> Truth:
    """Dawid-Skene as crowd-kit computes it, for any number of classes. A known truth that no worker ever named is left out.

    mirrored: the second half of the votes is the first with pairs and labels mirrored, in the same order.
    """
    import pandas as pd

    from curation.dawid_skene import truth_of  # takes seconds to import, and the web process never needs it

    named = {int(name) for name in np.unique(label)}
    fixed = {pair: verdict for pair, verdict in (known or {}).items() if verdict in named}
    data = pd.DataFrame({"task": task, "worker": worker, "label": label.astype(np.int64)})
    found = truth_of(data, pd.Series(fixed) if fixed else None, mirrored=mirrored)
    return Truth(found.index.to_numpy(np.int64), found.columns.to_numpy(np.int64), found.to_numpy(np.float64))


def error_rates(votes: Votes, classes: Floats, *, n_judges: int, smoothing: float = SMOOTHING) -> Floats:
    """P(said | true) per judge, (n_judges, 3 said, 3 true), from class probabilities (n_pairs, 3). Smoothed towards chance."""
    counts = np.full((n_judges, N_CLASSES, N_CLASSES), smoothing, dtype=np.float64)
    np.add.at(counts, (votes.judge, votes.verdict), classes[votes.pair])
    return counts / counts.sum(axis=1, keepdims=True)


def _posterior(votes: Votes, prior: Floats, errors: Floats) -> Floats:
    """Class probabilities of every pair from its whole votes, (n_pairs, 3): the prior where there are none."""
    evidence = np.log(errors)[votes.judge, votes.verdict]
    logs = np.stack([np.bincount(votes.pair, weights=column, minlength=votes.n_pairs) for column in evidence.T], axis=1)
    logs += np.log(np.maximum(prior, 1e-10))
    likelihoods = np.exp(logs - logs.max(axis=1, keepdims=True))
    return likelihoods / likelihoods.sum(axis=1, keepdims=True)
