"""The reward head: its losses against published vectors, what it learns, and that it is the same every time."""

import json

import numpy as np
import pytest

from models_runtime.training import bradley_terry as bt
from models_runtime.types import BackendError


def test_losses_at_a_difference_of_one_match_the_reference_values():
    assert bt.bt_loss(1.0) == pytest.approx(0.313262, abs=1e-6)
    assert bt.soft_loss(1.0, 1 - 0.1) == pytest.approx(0.413262, abs=1e-6)
    assert bt.soft_loss(1.0, bt.robust_target(0.1)) == pytest.approx(0.188262, abs=1e-6)


def test_losses_stay_finite_far_from_zero():
    assert bt.bt_loss([-1e4, 1e4]).tolist() == [1e4, 0.0]


def pairs(n=400, d=16, noise=0.0, seed=1):
    """Features of better and worse responses under a known reward, and the reward's weights. A share of labels is swapped."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=d)
    left, right = rng.normal(size=(2, n, d))
    swap = (left @ truth < right @ truth) ^ (rng.random(n) < noise)
    return np.where(swap[:, None], right, left), np.where(swap[:, None], left, right), truth


def test_the_gradient_leads_to_a_minimum():
    chosen, rejected, _ = pairs(n=60, d=4, noise=0.2)
    weights, margins, targets = np.linspace(0.5, 2, 60), np.linspace(0, 1, 60), np.linspace(0.6, 1, 60)
    head = bt.fit_head(chosen, rejected, weights=weights, margins=margins, targets=targets, l2=0.3)

    def objective(w):
        return weights @ bt.soft_loss((chosen - rejected) @ w - margins, targets) + 0.15 * w @ w

    best = objective(head.weights)
    steps = 1e-3 * np.vstack([np.eye(4), -np.eye(4)])
    assert all(objective(head.weights + step) > best for step in steps)


def test_a_head_finds_the_reward_behind_noisy_labels_and_reports_honest_accuracy():
    chosen, rejected, truth = pairs(n=1500, noise=0.2)
    head = bt.fit_head(chosen, rejected)
    assert np.corrcoef(head.weights, truth)[0, 1] > 0.97
    assert head.report["n"] == 1500
    assert len(head.report["fold_accuracy"]) == 5
    assert head.report["accuracy"] == pytest.approx(0.8, abs=0.04)
    clean_a, clean_b, _ = pairs(n=500, seed=1)
    assert (head.score(clean_a) > head.score(clean_b)).mean() > 0.9


def test_scores_are_calibrated_where_the_raw_head_is_over_confident():
    chosen, rejected, _ = pairs(n=2400, d=120, noise=0.25)
    head = bt.fit_head(chosen[:400], rejected[:400], l2=1e-3)
    assert head.temperature > 2
    differences = head.score(chosen[400:]) - head.score(rejected[400:])
    stated = 1 / (1 + np.exp(-np.abs(differences)))
    assert stated.mean() == pytest.approx((differences > 0).mean(), abs=0.06)


def test_exchanging_chosen_and_rejected_negates_the_head():
    chosen, rejected, _ = pairs(n=80, d=5, noise=0.1)
    head, mirrored = bt.fit_head(chosen, rejected), bt.fit_head(rejected, chosen)
    assert mirrored.weights == pytest.approx(-head.weights, abs=1e-4)
    as_targets = bt.fit_head(rejected, chosen, targets=np.zeros(80))
    assert as_targets.weights == pytest.approx(head.weights, abs=1e-4)


def test_ties_pull_towards_equal_rewards():
    chosen, rejected, _ = pairs(n=80, d=5)
    tied = bt.fit_head(chosen, rejected, targets=np.full(80, 0.5))
    assert np.abs(tied.weights).max() < 1e-4
    assert tied.report["accuracy"] is None


def test_a_pair_of_weight_two_counts_like_the_pair_twice():
    chosen, rejected, _ = pairs(n=30, d=4, noise=0.2)
    weights = np.ones(30)
    weights[:5] = 2
    weighted = bt.fit_head(chosen, rejected, weights=weights)
    repeated = bt.fit_head(np.vstack([chosen, chosen[:5]]), np.vstack([rejected, rejected[:5]]))
    assert weighted.weights == pytest.approx(repeated.weights, abs=1e-4)


def test_the_robust_loss_is_trained_through_its_target():
    chosen, rejected, truth = pairs(n=1500, noise=0.3)
    plain = bt.fit_head(chosen, rejected)
    robust = bt.fit_head(chosen, rejected, targets=np.full(1500, bt.robust_target(0.3)))
    assert np.corrcoef(robust.weights, truth)[0, 1] > 0.9
    assert np.linalg.norm(robust.weights) > 2 * np.linalg.norm(plain.weights)
    with pytest.raises(ValueError, match="flipped"):
        bt.robust_target(0.5)


def test_no_pair_is_scored_by_a_head_that_saw_its_prompt():
    """Every prompt's label is coin-flipped and shared by all its pairs: only a leak between folds can predict it."""
    rng = np.random.default_rng(3)
    prompts = np.repeat(np.arange(60), 6)
    mark = rng.normal(size=(60, 40))[prompts]
    sign = np.where(rng.random(60) < 0.5, 1.0, -1.0)[prompts][:, None]
    chosen, rejected = sign * mark, -sign * mark
    assert bt.fit_head(chosen, rejected).report["accuracy"] > 0.9
    assert 0.3 < bt.fit_head(chosen, rejected, groups=prompts).report["accuracy"] < 0.7


def test_one_prompt_alone_gives_no_honest_score_but_still_a_head():
    chosen, rejected, _ = pairs(n=4, d=3)
    head = bt.fit_head(chosen, rejected, groups=["same"] * 4)
    assert head.temperature == 1.0
    assert head.report["accuracy"] is None
    assert json.dumps(head.report)


def test_training_twice_gives_the_same_key_and_other_data_another(tmp_path):
    chosen, rejected, _ = pairs(n=50, d=6, noise=0.1)
    keys = {bt.fit_head(chosen, rejected, seed=7).key for _ in range(2)}
    assert len(keys) == 1
    assert bt.fit_head(chosen[1:], rejected[1:], seed=7).key not in keys


def test_the_number_of_threads_changes_no_bit_of_a_head():
    from threadpoolctl import threadpool_limits

    chosen, rejected, _ = pairs(n=900, d=768, noise=0.1)
    keys = set()
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            keys.add(bt.fit_head(chosen, rejected).key)
    assert len(keys) == 1


def test_a_saved_head_comes_back_whole(tmp_path):
    chosen, rejected, _ = pairs(n=50, d=6, noise=0.1)
    head = bt.fit_head(chosen, rejected, info={"embedder": "minilm"})
    key = head.save(tmp_path / "new" / "head")
    again = bt.load(tmp_path / "new" / "head")
    assert again.key == key
    assert again.report == head.report
    assert (again.score(chosen) == head.score(chosen)).all()


def test_a_damaged_or_foreign_head_is_refused(tmp_path):
    chosen, rejected, _ = pairs(n=10, d=3)
    head = bt.fit_head(chosen, rejected)
    head.save(tmp_path)
    about = json.loads((tmp_path / "head.json").read_text())
    (tmp_path / "head.json").write_text(json.dumps(about | {"temperature": about["temperature"] * 2}))
    with pytest.raises(BackendError, match="does not fit its key"):
        bt.load(tmp_path)
    (tmp_path / "head.json").write_text(json.dumps(about | {"features": "other / 9"}))
    with pytest.raises(BackendError, match="other / 9"):
        bt.load(tmp_path)
    (tmp_path / "head.safetensors").write_bytes(b"not tensors")
    with pytest.raises(BackendError, match="no reward head"):
        bt.load(tmp_path)
    with pytest.raises(BackendError, match="no reward head"):
        bt.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("chosen", "rejected", "more"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), {}),
        (np.zeros((2, 3)), np.zeros((2, 4)), {}),
        (np.zeros(3), np.zeros(3), {}),
        ([[1.0], [np.nan]], [[0.0], [0.0]], {}),
        ([[1.0]], [[0.0]], {"weights": [-1.0]}),
        ([[1.0]], [[0.0]], {"margins": [1.0, 2.0]}),
    ],
)
def test_what_cannot_be_trained_on_is_refused(chosen, rejected, more):
    with pytest.raises(ValueError, match="pair|features|same shape"):
        bt.fit_head(chosen, rejected, **more)


def test_features_leave_out_what_the_prompt_says_alone():
    rng = np.random.default_rng(0)
    prompts, responses = rng.normal(size=(2, 5, 8))
    made = bt.features(prompts, responses)
    assert made.shape == (5, 16)
    assert made[:, :8] == pytest.approx(responses)
    assert bt.features(prompts, responses * 0) == pytest.approx(np.zeros((5, 16)))
    with pytest.raises(ValueError, match="differ in shape"):
        bt.features(prompts, responses[:, :4])
