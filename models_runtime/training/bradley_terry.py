"""A Bradley-Terry reward head on frozen embeddings: convex, without an intercept (so antisymmetric), the same every time.

A head is trained in double precision with L-BFGS: seconds on a CPU for tens of thousands of pairs. Losses: Bradley-Terry;
adaptive margin and label smoothing (arXiv 2401.06080, B); scaled (HelpSteer2-Preference, arXiv 2410.01257); robust (rDPO).
All of them are one convex function of the difference of rewards, with weight w, margin m and probability q of "chosen better":

    w * [softplus(-z) + (1 - q) * z],  z = difference - m
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models_runtime.hashing import key_of
from models_runtime.types import BackendError

Array = NDArray[np.float64]
FEATURES = "response, prompt*response / 1"  # what features() makes; part of a head's key
DEFAULT_L2 = 1.0
MOST_STEPS = 500


def features(prompt_vectors: ArrayLike, response_vectors: ArrayLike) -> Array:
    """[n, 2d] from unit embeddings [n, d] of prompts and responses: the response, and its product with the prompt (scaled by
    sqrt(d), so that both halves weigh alike). What depends on the prompt alone cancels in a difference and is left out."""
    prompts, responses = _matrix(prompt_vectors), _matrix(response_vectors)
    if prompts.shape != responses.shape:
        raise ValueError(f"prompts {prompts.shape} and responses {responses.shape} differ in shape")
    return np.hstack([responses, prompts * responses * np.sqrt(responses.shape[1])])


# Losses of one difference of rewards d = r(chosen) - r(rejected)


def bt_loss(d: ArrayLike) -> Array:
    """-log sigmoid(d)."""
    losses: Array = np.logaddexp(0.0, -np.asarray(d, dtype=np.float64))
    return losses


def soft_loss(d: ArrayLike, target: ArrayLike) -> Array:
    """Cross-entropy against the probability `target` that the chosen one is better. 1 - alpha is label smoothing by alpha."""
    difference: Array = np.asarray(d, dtype=np.float64)
    losses: Array = bt_loss(difference) + (1.0 - np.asarray(target, dtype=np.float64)) * difference
    return losses


def robust_target(epsilon: float) -> float:
    """The `targets` value (above 1) that makes fit_head use the robust loss."""
    if not 0 <= epsilon < 0.5:
        raise ValueError(f"the share of flipped labels must be in [0, 0.5), not {epsilon}")
    return 1.0 + epsilon / (1.0 - 2.0 * epsilon)


@dataclass(frozen=True, eq=False)
class Head:
    """score(features) is a calibrated reward: sigmoid of a difference of scores is the probability of being better."""

    weights: Array  # [d]
    temperature: float = 1.0
    report: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)  # what the caller wants kept: embedder, dataset, gold count

    def score(self, matrix: ArrayLike) -> Array:
        """[n] rewards of [n, d] features. Raises ValueError for another number of features."""
        rows = _matrix(matrix)
        if rows.shape[1] != len(self.weights):
            raise ValueError(f"the head takes {len(self.weights)} features, not {rows.shape[1]}")
        return rows @ self.weights / self.temperature

    @cached_property
    def key(self) -> str:
        """64 hex digits that stand for everything that changes a score."""
        weights = sha256(np.ascontiguousarray(self.weights, dtype="<f8").tobytes()).hexdigest()
        return key_of({"weights": weights, "temperature": self.temperature, "features": FEATURES, "info": dict(self.info)})

    def save(self, folder: Path) -> str:
        """Write head.safetensors and head.json into the folder; returns the key. The JSON comes last and names the weights."""
        from safetensors.numpy import save

        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / "head.safetensors", save({"weights": self.weights}))
        about = {"key": self.key, "temperature": self.temperature, "features": FEATURES, "report": self.report, "info": self.info}
        _replace(folder / "head.json", json.dumps(about, indent=1).encode())
        return self.key


def load(folder: Path) -> Head:
    """The head that save() wrote. Raises BackendError when it is missing, damaged or made for other features."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as load_tensors

    try:
        about = json.loads((folder / "head.json").read_bytes())
        weights = load_tensors((folder / "head.safetensors").read_bytes())["weights"]
        head = Head(weights.astype(np.float64), float(about["temperature"]), about["report"], about["info"])
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        raise BackendError(f"no reward head in {folder}: {error}", permanent=True) from error
    if about["features"] != FEATURES:
        raise BackendError(f"the head was made for features {about['features']!r}, this code makes {FEATURES!r}", permanent=True)
    if head.key != about["key"]:
        raise BackendError(f"the head in {folder} does not fit its key: damaged, or saved only in part", permanent=True)
    return head


def fit_head(
    chosen: ArrayLike,
    rejected: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    margins: ArrayLike | None = None,
    targets: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    l2: float = DEFAULT_L2,
    folds: int = 5,
    seed: int = 0,
    info: Mapping[str, Any] | None = None,
) -> Head:
    """Train on features [n, d] of the better and the worse response of n pairs.

    weights: how much each pair counts (scaled BT). margins: by how much chosen must win. targets: probability that chosen is
    better, 1 where left out (0.5 is a tie). groups [n]: pairs of one prompt stay in one fold. l2: prior precision of the weights.
    The temperature is calibrated on out-of-fold differences; the report has n, loss, accuracy per fold and over all of
    them. Raises ValueError for no pairs, other shapes, or values that are not finite.
    """
    data = _data(chosen, rejected, weights, margins, targets)
    solution, loss, steps = _minimise(data, l2)
    honest = _held_out(data, _fold_numbers(len(data.difference), groups, folds, seed), l2)
    known = np.isfinite(honest.difference)
    temperature = _temperature(honest.difference[known], data.only(known)) if known.any() else 1.0
    report = {
        "n": len(data.difference),
        "n_features": int(data.difference.shape[1]),
        "l2": l2,
        "seed": seed,
        "loss": loss,
        "steps": steps,
        "fold_accuracy": honest.accuracies,
        "accuracy": _accuracy(honest.difference[known], data.targets[known]),
        "temperature": temperature,
        "calibrated_loss": _mean_loss(honest.difference[known] / temperature, data.only(known)) if known.any() else None,
    }
    return Head(solution, temperature, report, dict(info or {}))


@dataclass(frozen=True)
class _Data:
    difference: Array  # [n, d] features of chosen minus rejected
    weights: Array
    margins: Array
    targets: Array

    def only(self, rows: NDArray[Any]) -> "_Data":
        return _Data(self.difference[rows], self.weights[rows], self.margins[rows], self.targets[rows])


@dataclass(frozen=True)
class _HeldOut:
    difference: Array  # [n], NaN where nothing could be held out
    accuracies: list[float]


def _matrix(values: ArrayLike) -> Array:
    matrix = np.asarray(values, dtype=np.float64)
    if matrix.ndim != 2:
        raise ValueError(f"expected rows of features, got an array of shape {matrix.shape}")
    return matrix


def _data(
    chosen: ArrayLike, rejected: ArrayLike, weights: ArrayLike | None, margins: ArrayLike | None, targets: ArrayLike | None
) -> _Data:
    better, worse = _matrix(chosen), _matrix(rejected)
    if better.shape != worse.shape or not better.size:
        raise ValueError(f"chosen {better.shape} and rejected {worse.shape} must have the same shape and at least one pair")
    columns = []
    for values, default in ((weights, 1.0), (margins, 0.0), (targets, 1.0)):
        column = np.full(len(better), default) if values is None else np.asarray(values, dtype=np.float64)
        if column.shape != (len(better),):
            raise ValueError(f"expected one value for each of {len(better)} pairs, got shape {column.shape}")
        columns.append(column)
    data = _Data(better - worse, *columns)
    if not all(np.isfinite(part).all() for part in (data.difference, *columns)) or (columns[0] < 0).any():
        raise ValueError("features, weights, margins and targets must be finite, and weights not negative")
    return data


def _minimise(data: _Data, l2: float) -> tuple[Array, float, int]:
    """Weights [d], their mean loss without the penalty, and the steps it took."""
    from scipy.optimize import minimize
    from scipy.special import expit
    from threadpoolctl import threadpool_limits

    def objective(w: Array) -> tuple[float, Array]:
        z = data.difference @ w - data.margins
        value = data.weights @ soft_loss(z, data.targets) + 0.5 * l2 * (w @ w)
        slope = data.weights * (expit(z) - data.targets)
        return float(value), data.difference.T @ slope + l2 * w

    start = np.zeros(data.difference.shape[1])
    # One thread: the same bits whatever the number of cores, and on a busy machine many times faster at these sizes.
    with threadpool_limits(1, user_api="blas"):
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": MOST_STEPS})
    return found.x, _mean_loss(data.difference @ found.x, data), int(found.nit)


def _mean_loss(differences: Array, data: _Data) -> float:
    total = data.weights.sum()
    losses = soft_loss(differences - data.margins, data.targets)
    return float(data.weights @ losses / total) if total else 0.0


def _fold_numbers(n: int, groups: ArrayLike | None, folds: int, seed: int) -> NDArray[np.int64]:
    """[n] fold of each pair: the groups shuffled by the seed and dealt out in turn, so that a group is in one fold."""
    names, member = np.unique(np.arange(n) if groups is None else np.asarray(groups), return_inverse=True)
    if member.shape != (n,):
        raise ValueError(f"expected one group for each of {n} pairs")
    dealt = np.empty(len(names), dtype=np.int64)
    dealt[np.random.default_rng(seed).permutation(len(names))] = np.arange(len(names)) % folds
    return dealt[member]


def _held_out(data: _Data, fold: NDArray[np.int64], l2: float) -> _HeldOut:
    differences = np.full(len(fold), np.nan)
    accuracies = []
    for number in np.unique(fold):
        test = fold == number
        if test.all():
            continue
        solution, _, _ = _minimise(data.only(~test), l2)
        differences[test] = data.difference[test] @ solution
        accuracies.append(_accuracy(differences[test], data.targets[test]))
    return _HeldOut(differences, [value for value in accuracies if value is not None])


def _accuracy(differences: Array, targets: Array) -> float | None:
    """Share of pairs whose better side gets the higher reward; equal rewards count half, pairs without a better side not."""
    sided = targets != 0.5
    if not sided.any():
        return None
    right = np.sign(differences[sided]) * np.sign(targets[sided] - 0.5)
    return float((right + 1).mean() / 2)


def _temperature(differences: Array, data: _Data) -> float:
    """The T that minimises the mean loss of differences / T (Guo et al. 2017), between 1/50 and 50."""
    from scipy.optimize import minimize_scalar

    bound = np.log(50.0)
    found = minimize_scalar(
        lambda log_t: _mean_loss(differences / np.exp(log_t), data),
        bounds=(-bound, bound),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(found.x))


def _replace(path: Path, content: bytes) -> None:
    """Write beside and rename: a reader sees the old file or the new one."""
    draft = path.with_suffix(path.suffix + ".new")
    draft.write_bytes(content)
    os.replace(draft, path)
