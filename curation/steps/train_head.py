"""Step "train_head": a Bradley-Terry head on frozen embeddings, from people's labels and, with less weight, the stored ones."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation import judgments, recipes
from curation.filters import people_votes, side_of_people
from curation.models import Dataset, Judge, JudgeKind, Pair, Recipe
from curation.pair_views import load_views
from curation.steps import heads
from curation.steps.base import CannotRun, Step, Stored, Work, on_gpu, where_the_ledger_stands
from curation.steps.checks import need_capability
from curation.steps.embed import known_vectors
from curation.types import PairView
from models_runtime.hashing import key_of
from models_runtime.training import bradley_terry

PAIRS_AT_ONCE = 2000
LEAST_PAIRS = 4  # fewer cannot be held out and say nothing
SOURCES = ("auto", "gold", "stored", "both")


@dataclass(frozen=True)
class Example:
    """One labelled pair. b_better: which response the label prefers; gold: people said so."""

    pair: int
    b_better: bool
    gold: bool


@dataclass(frozen=True)
class TrainingSet:
    """Rows of one length; features are float32 (n, d)."""

    pairs: NDArray[np.int64]
    prompts: NDArray[np.int64]
    chosen: NDArray[np.float32]
    rejected: NDArray[np.float32]
    gold: NDArray[np.bool_]


@dataclass(frozen=True)
class Trained:
    """key "": nothing was trained, and the report says why."""

    key: str
    revision: str
    report: dict[str, Any]


class TooFew(CannotRun):
    """There are not enough labels to train on."""


def prepare(dataset: Dataset, params: recipes.TrainHead, recipe: Recipe | None) -> None:
    need_capability(params.model, "embed")
    if params.labels not in SOURCES:
        raise CannotRun(f"labels is one of {', '.join(SOURCES)}, not {params.labels!r}.")
    if params.folds < 2:
        raise CannotRun("folds is at least 2: no pair may be judged by a head that was trained on it.")


def compute(work: Work) -> Trained:
    """A recipe goes on without a head where there is nothing to train on; a run by itself fails with the reason."""
    try:
        return trained_now(work)
    except TooFew as error:
        if work.run.recipe_id is None:
            raise
        return Trained("", "", {"skipped": str(error)})


def trained_now(work: Work) -> Trained:
    """Train on what is labelled now. The same labels and parameters give the same files and key."""
    params: Any = work.params
    examples = chosen_examples(labelled(work), params)
    facts = {
        "labels": key_of([[each.pair, each.b_better, each.gold] for each in examples]),
        "params": recipes.step_params(params),
        "features": bradley_terry.FEATURES,
    }
    key = key_of(facts)
    data = gather(examples, params)
    if len(data.pairs) < LEAST_PAIRS:
        raise TooFew("There are too few labelled pairs with embeddings to train on: run the step embed first.")
    trained = fit(data, params)
    heads.save(trained, key)
    final = trained.final
    report = {
        "n_gold": int(data.gold.sum()),
        "n_stored": int((~data.gold).sum()),
        "held_out_accuracy": final.report["accuracy"],
        "held_out_accuracy_on_gold": accuracy_on_gold(trained, data),
        "loss": final.report["loss"],
        "temperature": final.temperature,
        "labels": facts["labels"],
    }
    return Trained(key, final.key, report)


def labelled(work: Work) -> Iterator[Example]:
    """Every pair with a label that prefers a side: people's where they decided, else the stored one. In order of id."""
    after = 0
    while True:
        ids = list(work.pairs.filter(id__gt=after).values_list("id", flat=True)[:PAIRS_AT_ONCE])
        if not ids:
            return
        for view in load_views(work.dataset, ids, needs=frozenset({"votes"})):
            example = example_of(view)
            if example is not None:
                yield example
        after = ids[-1]


def example_of(view: PairView) -> Example | None:
    """The side that people prefer; where nobody was asked, the side of the stored label."""
    if view.identical:
        return None
    asked = bool(people_votes(view))
    side = side_of_people(view) if asked else view.stored_verdict
    return Example(view.id, side == "b", gold=asked) if side in ("a", "b") else None


def chosen_examples(found: Iterator[Example], params: recipes.TrainHead) -> list[Example]:
    """Those that `labels` asks for, at most `most_pairs`: all gold ones first, stored ones drawn evenly over the ids."""
    examples = list(found)
    gold, stored = [each for each in examples if each.gold], [each for each in examples if not each.gold]
    if params.labels == "gold" and len(gold) < params.least_gold:
        raise TooFew(f"People decided {len(gold)} pairs; {params.least_gold} are needed to train on them alone.")
    if params.labels == "gold":
        stored = []
    if stored and (params.labels == "stored" or (params.labels == "auto" and len(gold) < params.least_gold)):
        gold = []
    gold = gold[: params.most_pairs]
    room = params.most_pairs - len(gold)
    if len(stored) > room:
        stored = [stored[int(place)] for place in np.linspace(0, len(stored) - 1, room)] if room else []
    if len(gold) + len(stored) < LEAST_PAIRS:
        raise TooFew("There are no labels to train on: people have judged too few pairs, and the pairs came without labels.")
    return sorted(gold + stored, key=lambda each: each.pair)


def gather(examples: list[Example], params: recipes.TrainHead) -> TrainingSet:
    """Features of the better and the worse response; pairs without embeddings are left out."""
    parts = [batch_features(examples[start : start + PAIRS_AT_ONCE], params) for start in range(0, len(examples), PAIRS_AT_ONCE)]
    parts = [part for part in parts if len(part[0])]
    if not parts:
        empty = np.empty(0, np.int64)
        return TrainingSet(empty, empty, np.empty((0, 0), np.float32), np.empty((0, 0), np.float32), np.empty(0, bool))
    return TrainingSet(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def batch_features(examples: list[Example], params: recipes.TrainHead) -> tuple[NDArray, ...]:
    rows = Pair.objects.filter(pk__in=[each.pair for each in examples]).values_list(
        "id", "prompt_id", "prompt__content_hash", "response_a__content_hash", "response_b__content_hash"
    )
    found = {row[0]: (row[1], *(bytes(digest) for digest in row[2:])) for row in rows}
    vectors = known_vectors(params.model, {digest for row in found.values() for digest in row[1:]})
    usable = [each for each in examples if all(digest in vectors for digest in found[each.pair][1:])]
    if not usable:
        return (np.empty(0), np.empty(0), np.empty(0), np.empty(0), np.empty(0))
    better = [found[each.pair][3 if each.b_better else 2] for each in usable]
    worse = [found[each.pair][2 if each.b_better else 3] for each in usable]
    prompts = np.stack([vectors[found[each.pair][1]] for each in usable])
    features = [bradley_terry.features(prompts, np.stack([vectors[digest] for digest in side])) for side in (better, worse)]
    return (
        np.array([each.pair for each in usable], np.int64),
        np.array([found[each.pair][0] for each in usable], np.int64),
        features[0].astype(np.float32),
        features[1].astype(np.float32),
        np.array([each.gold for each in usable], bool),
    )


def fit(data: TrainingSet, params: recipes.TrainHead) -> heads.Heads:
    """The final head on everything, and for every fold one on everything but the fold's prompts, all on the final one's scale."""
    fold = np.array([heads.fold_of(prompt, params.folds, params.seed) for prompt in data.prompts.tolist()])
    final = train(data, np.ones(len(fold), bool), params, folds=params.folds)
    parts = []
    for number in range(params.folds):
        rest = fold != number
        part = final if rest.all() or not rest.any() else train(data, rest, params, folds=1)
        parts.append(replace(part, temperature=final.temperature))
    return heads.Heads(final, tuple(parts), np.unique(data.prompts), params.seed)


def train(data: TrainingSet, rows: NDArray[np.bool_], params: recipes.TrainHead, *, folds: int) -> bradley_terry.Head:
    """One head on these rows. folds: for the calibration of its scale; 1 leaves it as it is."""
    return bradley_terry.fit_head(
        data.chosen[rows], data.rejected[rows], weights=np.where(data.gold[rows], 1.0, params.stored_weight),
        groups=data.prompts[rows], l2=params.l2, folds=folds, seed=params.seed,
    )  # fmt: skip


def accuracy_on_gold(trained: heads.Heads, data: TrainingSet) -> float | None:
    """Share of people's labels that the heads which never saw them get right."""
    if not data.gold.any():
        return None
    fold = np.array([heads.fold_of(prompt, len(trained.folds), trained.seed) for prompt in data.prompts.tolist()])
    right = np.zeros(len(fold), bool)
    for number, head in enumerate(trained.folds):
        mine = fold == number
        if mine.any():
            right[mine] = head.score(data.chosen[mine]) > head.score(data.rejected[mine])
    return float(right[data.gold].mean())


def store(work: Work, trained: Trained) -> Stored:
    """The head becomes a judge of its own; training the same again finds the same judge."""
    if not trained.key:
        return Stored(report=trained.report)
    params: Any = work.params
    spec = {
        "model": {"backend": "embedding_head", "checkpoint": trained.key, "revision": trained.revision},
        "embedder": recipes.plain(params.model),
        "training": {name: trained.report[name] for name in ("labels", "n_gold", "n_stored")},
        "folds": params.folds,
    }
    judge = head_judge(work.dataset, spec)
    report = {**trained.report, "judge": judge.pk}
    return Stored(n_values=1, report=report)


def head_judge(dataset: Dataset, spec: dict[str, Any]) -> Judge:
    """Heads of one dataset share name and method, so that a newer one takes the older one's place."""
    return judgments.model_judge(dataset.workspace, JudgeKind.REWARD_MODEL, heads.JUDGE_NAME, method=dataset.slug, spec=spec)


def newest_head(dataset: Dataset, recipe: Recipe | None) -> Judge | None:
    """The head trained last, in this recipe where there is one; None where none was, or the last had no labels."""
    runs = dataset.runs.filter(step="train_head", report__judge__isnull=False)
    if recipe is not None:
        runs = runs.filter(recipe=recipe)
    last = runs.order_by("-id").first()
    return Judge.objects.get(pk=last.report["judge"]) if last else None


STEP = Step(
    prepare,
    compute,
    store,
    on_gpu,
    ("curation.steps.train_head", "curation.steps.heads"),
    inputs=where_the_ledger_stands,
    whole=True,
)
