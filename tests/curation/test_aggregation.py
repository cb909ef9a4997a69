"""Votes into probabilities: published figures of Dawid and Skene, and what must hold for any votes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import aggregation
from curation.aggregation import TIE, A, B

# Dawid and Skene (1979), table 1: the classes that five anaesthetists gave 45 patients; the first was asked three times.
PATIENTS = (
    "1111111 3334334 1122122 2223121 2223222 2223322 1222111 3333433 2222223 2322223 4444444 2223343 1111111 2223212 1211111 "
    "1112111 1111111 1111111 2222221 2221322 2222222 2222221 2223222 2212222 1111111 1111111 2322222 1111111 1111111 1121121 "
    "1111111 3333233 1111111 2222222 2223232 4334343 2212232 2323233 3333432 1111111 1111111 1212111 2322222 1211111 2222222"
)
OBSERVERS = (0, 0, 0, 1, 2, 3, 4)


def votes_of(rows: list[tuple[int, int, int]], n_pairs: int | None = None, n_judges: int | None = None) -> aggregation.Votes:
    pair, judge, verdict = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return aggregation.merge(
        pair, judge, verdict, n_pairs=n_pairs or int(pair.max()) + 1, n_judges=n_judges or int(judge.max()) + 1
    )


def test_anaesthetists_of_1979_come_out_as_published():
    rows = [
        (patient, observer, int(said))
        for patient, row in enumerate(PATIENTS.split())
        for observer, said in zip(OBSERVERS, row, strict=True)
    ]
    task, worker, label = (np.array(column) for column in zip(*rows, strict=True))
    truth = aggregation.fit(task, worker, label)
    assert np.round(truth.probabilities.mean(axis=0), 4).tolist() == [0.3996, 0.4220, 0.1118, 0.0667]
    surest = truth.probabilities.max(axis=1)
    unsure = {int(patient) + 1: round(float(surest[patient]), 3) for patient in np.argsort(surest)[:3]}
    assert unsure == {35: 0.948, 38: 0.979, 7: 0.981}
    first = np.zeros((4, 4))
    for patient, observer, said in rows:
        if observer == 0:
            first[said - 1] += truth.probabilities[patient]
    assert np.round(np.diag(first / first.sum(axis=0)), 2).tolist() == [0.89, 0.88, 0.66, 0.44]


def test_a_judge_has_one_vote_whatever_number_of_answers_it_gave():
    votes = votes_of([(0, 0, A), (0, 0, A), (0, 0, A), (0, 1, B), (0, 2, B)])
    assert aggregation.tally(votes).tolist() == [[1, 0, 2]]


def test_answers_that_contradict_each_other_divide_the_vote():
    votes = votes_of([(0, 0, A), (0, 0, B), (0, 1, B)])
    assert aggregation.tally(votes).tolist() == [[0.5, 0, 1.5]]


def test_a_judge_that_always_picks_the_first_shown_changes_nothing():
    rng = np.random.default_rng(0)
    truth = rng.choice([A, B], 200)
    honest = [
        (pair, judge, int(side if rng.random() < 0.8 else 2 - side)) for pair, side in enumerate(truth) for judge in range(3)
    ]
    follower = [(pair, 3, side) for pair in range(200) for side in (A, B)]  # order ab: A; order ba: B
    without = aggregation.dawid_skene(votes_of(honest, n_judges=4))
    with_it = aggregation.dawid_skene(votes_of(honest + follower))
    assert (without.argmax(axis=1) == with_it.argmax(axis=1)).all()


def test_how_a_judge_wavers_says_nothing_about_how_it_errs():
    """Judge 3 contradicts itself on half of the pairs and is right on all others: where it is firm it is believed."""
    rows = [(pair, judge, A) for pair in range(40) for judge in (0, 1, 2)]
    rows += [(pair, 3, side) for pair in range(40) for side in ((A, B) if pair % 2 else (A, A))]
    rows += [(40, 3, B), (40, 3, B), (41, 3, A), (41, 3, B)]
    found = aggregation.dawid_skene(votes_of(rows))
    assert found[40, B] > 0.99
    assert np.allclose(found[41], [0.5, 0, 0.5])


def test_votes_that_all_contradict_themselves_leave_even_shares():
    assert aggregation.dawid_skene(votes_of([(0, 0, A), (0, 0, B)])).tolist() == [[0.5, 0, 0.5]]


def test_pairs_nobody_voted_on_stay_without_a_figure():
    votes = votes_of([(1, 0, A)], n_pairs=3)
    for found in (aggregation.majority(votes), aggregation.dawid_skene(votes)):
        assert np.isnan(found[[0, 2]]).all()
        assert found[1].argmax() == A


def test_no_votes_at_all_give_no_figures():
    votes = aggregation.merge(np.array([]), np.array([]), np.array([]), n_pairs=2, n_judges=0)
    assert np.isnan(aggregation.dawid_skene(votes)).all()
    assert np.isnan(aggregation.majority(votes)).all()


def test_a_judge_known_to_err_is_believed_less():
    """Judge 2 is wrong wherever the truth is known, so that on the last pair the other two outweigh nothing: they disagree."""
    rows = []
    for pair in range(30):
        side = A if pair % 2 else B
        rows += [(pair, 0, side), (pair, 1, 2 - side)]
    rows += [(30, 0, A), (30, 1, B)]
    known = {pair: A if pair % 2 else B for pair in range(30)}
    found = aggregation.dawid_skene(votes_of(rows), known)
    assert found[30, A] > 0.99


def test_known_truth_is_the_answer_for_its_pair():
    found = aggregation.dawid_skene(votes_of([(0, judge, A) for judge in range(5)] + [(1, 0, B)]), {0: B})
    assert found[0].tolist() == [0, 0, 1]


def test_a_known_tie_that_no_judge_ever_named_is_still_the_answer():
    found = aggregation.dawid_skene(votes_of([(0, 0, A), (1, 0, B), (1, 1, B)]), {0: TIE})
    assert found[0].tolist() == [0, 1, 0]
    assert found[1].argmax() == B


def test_errors_learned_from_a_sample_judge_all_pairs_alike():
    rng = np.random.default_rng(1)
    truth = rng.choice([A, B], 1000)
    rows = [
        (pair, judge, int(side if rng.random() < skill else 2 - side))
        for pair, side in enumerate(truth)
        for judge, skill in enumerate((0.95, 0.85, 0.75, 0.65))
    ]
    whole, sampled = (aggregation.dawid_skene(votes_of(rows), max_fit_pairs=limit) for limit in (1000, 500))
    assert (whole.argmax(axis=1) == sampled.argmax(axis=1)).mean() > 0.97
    assert not np.isnan(sampled).any()


def test_disagreement_is_zero_when_all_say_the_same_and_one_when_evenly_spread():
    shares = np.array([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5], [np.nan] * 3])
    found = aggregation.disagreement(shares)
    assert np.allclose(found[:3], [0, 1, np.log(2) / np.log(3)])
    assert np.isnan(found[3])


rows_of_votes = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3), st.sampled_from([A, TIE, B])), min_size=1, max_size=40)


@settings(max_examples=5, deadline=None)
@given(rows_of_votes, st.randoms())
def test_neither_the_sides_nor_the_order_of_the_votes_matter(rows, random):
    """Swapping all pairs' responses mirrors the result, shuffling the votes changes nothing, and every row is a distribution."""
    swapped = [(pair, judge, 2 - said) for pair, judge, said in rows]
    random.shuffle(swapped)
    for method in (aggregation.majority, aggregation.dawid_skene):
        one, other = method(votes_of(rows, 8, 4)), method(votes_of(swapped, 8, 4))
        assert np.allclose(one, other[:, ::-1], atol=1e-6, equal_nan=True)
        voted = ~np.isnan(one[:, 0])
        assert np.allclose(one[voted].sum(axis=1), 1)
        assert (one[voted] >= 0).all()
