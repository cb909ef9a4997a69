"""Agreement beyond chance, against figures of the literature."""

import numpy as np
import pytest

from curation import agreement

NAN = np.nan
# Krippendorff (2011), four observers and twelve units with gaps.
RELIABILITY = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, NAN, NAN, NAN],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, NAN, 3],
        [NAN, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, NAN],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, NAN],
    ]
)
# Fleiss' table as commonly reprinted: ten subjects, fourteen raters, five categories.
FLEISS = np.array(
    [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
)


def counts_of(labels: np.ndarray) -> np.ndarray:
    """Label counts per unit, from one row per judge with gaps."""
    judge, unit = np.nonzero(~np.isnan(labels))
    return agreement.label_counts(unit, labels[judge, unit], [1, 2, 3, 4, 5], n_pairs=labels.shape[1])


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849), ("ratio", 0.797)])
def test_alpha_of_krippendorffs_example(level, alpha):
    assert agreement.krippendorff_alpha(counts_of(RELIABILITY), [1, 2, 3, 4, 5], level=level).value == pytest.approx(
        alpha, abs=5e-4
    )


def test_kappa_of_fleiss_table():
    assert agreement.fleiss_kappa(FLEISS).value == pytest.approx(0.210, abs=5e-4)


@pytest.mark.parametrize(("weights", "kappa"), [(None, 0.529412), ("linear", 0.744681), ("quadratic", 0.888889)])
def test_cohens_kappa_with_and_without_weights(weights, kappa):
    one, other = np.array([0, 1, 2, 3, 4, 4, 2, 1.0]), np.array([0, 2, 2, 3, 3, 4, 1, 1.0])
    assert agreement.cohen_kappa(one, other, weights=weights).value == pytest.approx(kappa, abs=1e-6)


def test_a_step_of_the_scale_that_nobody_used_still_counts_as_distance():
    near = agreement.cohen_kappa(np.array([-1, 1, 0.0]), np.array([-1, 0, 0.0]), weights="quadratic")
    far = agreement.cohen_kappa(np.array([-3, 3, 0.0]), np.array([-3, 0, 0.0]), weights="quadratic")
    assert near.value == pytest.approx(far.value)
    skewed = agreement.cohen_kappa(np.array([-3, 1, 0.0]), np.array([-3, 0, 1.0]), weights="quadratic")
    assert skewed.value > 0.8


def test_kappa_looks_only_at_pairs_both_judged():
    figure = agreement.cohen_kappa(np.array([0, 1, NAN, 1, 0]), np.array([0, 1, 1, NAN, 0]))
    assert (figure.value, figure.n) == (1.0, 3)


@pytest.mark.parametrize(
    ("figure", "word"),
    [
        (agreement.cohen_kappa(np.array([0, NAN]), np.array([NAN, 1.0])), "in common"),
        (agreement.cohen_kappa(np.array([1.0, 1]), np.array([1.0, 1])), "same label"),
        (agreement.fleiss_kappa(np.array([[2, 0], [3, 0]])), "from 2 to 3"),
        (agreement.fleiss_kappa(np.array([[1, 0], [0, 1]])), "single label"),
        (agreement.fleiss_kappa(np.array([[3, 0], [3, 0]])), "same label"),
        (agreement.fleiss_kappa(np.zeros((2, 0), int)), "no labels"),
        (agreement.krippendorff_alpha(np.array([[1, 0], [0, 1]]), [0, 1]), "two judges"),
        (agreement.krippendorff_alpha(np.array([[0, 2], [0, 2]]), [0, 1]), "same label"),
    ],
)
def test_an_undefined_figure_says_why(figure, word):
    assert figure.value is None
    assert word in figure.reason


def test_fleiss_kappa_is_one_when_all_agree_on_different_labels():
    assert agreement.fleiss_kappa(np.array([[3, 0], [0, 3]])).value == 1.0


def test_majority_needs_a_lead():
    assert agreement.majorities(np.array([[2, 0, 1], [1, 1, 1], [0, 0, 0], [0, 0, 3]])).tolist() == [0, -1, -2, 2]


def test_judges_who_meet_most_often_come_first():
    met = list(agreement.pairs_of_judges({1: [10, 11, 12], 2: [10], 3: [11, 12], 4: [99]}, limit=5))
    assert met == [(1, 3, 2), (1, 2, 1)]
