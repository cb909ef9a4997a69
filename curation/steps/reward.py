"""Step "reward": one scalar per response, and one judgment per pair out of the two."""

import math
from dataclasses import dataclass

import numpy as np

from curation import judgments, recipes
from curation.bulk import insert_new
from curation.code import fingerprint
from curation.judgments import NewJudgment
from curation.models import Dataset, Judge, JudgeKind, Pair, Recipe, Response, Reward, SignalValue
from curation.steps import embed, heads
from curation.steps.base import CannotRun, Step, Stored, Work, conversation, host, on_gpu
from curation.steps.checks import need_capability, need_server, pinned, short_name
from curation.steps.train_head import newest_head
from models_runtime.loading import resident
from models_runtime.registry import BACKENDS
from models_runtime.types import ModelSpec

SIGNAL = "reward_margin"
CLEAR, STRONG = 0.15, 0.35  # distance of the probability from 1/2 from which a preference has strength 2, and 3: our choice


@dataclass(frozen=True)
class Scored:
    """values: by response, in order of id. vectors: embeddings computed on the way. error: why some have no value for now."""

    values: list[tuple[int, float | None]]
    vectors: embed.Vectors
    error: str = ""


def prepare(dataset: Dataset, params: recipes.Reward, recipe: Recipe | None) -> Judge | None:
    if params.model is None:
        return head_for(dataset, recipe)
    need_capability(params.model, "reward")
    need_server(params.model)
    module = BACKENDS[params.model.backend].path.split(":")[0]
    spec = {"model": recipes.plain(pinned(params.model)), "code": fingerprint(module)}
    return judgments.model_judge(dataset.workspace, JudgeKind.REWARD_MODEL, short_name(params.model), spec=spec)


def head_for(dataset: Dataset, recipe: Recipe | None) -> Judge | None:
    """The head to score with. None in a recipe that has not trained one yet, or found no labels to train one on."""
    found = newest_head(dataset, recipe)
    if found is None and recipe is None:
        raise CannotRun("There is no trained reward head: run the step train_head first, or name a model.")
    return found


def compute(work: Work) -> Scored:
    """Rewards of the responses in this range that have none by this judge."""
    judge = work.run.judge
    if judge is None:
        return Scored([], [])
    ids = response_ids(work)
    known = set(Reward.objects.filter(judge=judge, response__in=ids).values_list("response_id", flat=True))
    open_ids = sorted(ids - known)
    if not open_ids:
        return Scored([], [])
    if judge.spec["model"]["backend"] == "embedding_head":
        return by_head(work, open_ids)
    rows = Response.objects.filter(id__in=open_ids).order_by("id").values_list("id", "prompt__messages", "messages")
    backend = resident(ModelSpec(**judge.spec["model"]), host=host())
    values = backend.reward([(*conversation(prompt), *conversation(reply)) for _, prompt, reply in rows])
    passing = [str(failure) for failure in backend.failures.values() if not failure.permanent]
    return Scored(list(zip(open_ids, values, strict=True)), [], error=passing[0] if passing else "")


def response_ids(work: Work) -> set[int]:
    return {each for both in work.pairs.values_list("response_a_id", "response_b_id") for each in both}


def by_head(work: Work, open_ids: list[int]) -> Scored:
    """Scores from stored embeddings; what was never embedded is embedded now."""
    spec = work.run.judge.spec
    model = ModelSpec(**spec["embedder"])
    fresh = embed.missing_vectors(work, model)
    rows = list(
        Response.objects.filter(id__in=open_ids)
        .order_by("id")
        .values_list("id", "prompt_id", "prompt__content_hash", "content_hash")
    )
    vectors = embed.known_vectors(model, {bytes(digest) for row in rows for digest in row[2:]})
    vectors.update((digest, np.asarray(vector, np.float32)) for digest, vector in fresh if vector is not None)
    usable = [row for row in rows if bytes(row[2]) in vectors and bytes(row[3]) in vectors]
    scores: dict[int, float] = {}
    if usable:
        found = heads.load(spec["model"]["checkpoint"]).score(
            np.array([row[1] for row in usable], np.int64),
            np.stack([vectors[bytes(row[2])] for row in usable]),
            np.stack([vectors[bytes(row[3])] for row in usable]),
        )
        scores = {row[0]: float(score) for row, score in zip(usable, found, strict=True)}
    return Scored([(response, scores.get(response)) for response in open_ids], fresh)


def store(work: Work, scored: Scored) -> Stored:
    """Rewards first; then judgments and margins of this range's pairs from what is stored, whoever computed it."""
    judge = work.run.judge
    if judge is None:
        return Stored(n_missing=work.pairs.count())
    if scored.vectors:
        embed.insert(ModelSpec(**judge.spec["embedder"]), scored.vectors)
    new = [
        Reward(response_id=response, judge=judge, value=value, run=work.run)
        for response, value in scored.values
        if value is not None and math.isfinite(value)
    ]
    n_values = insert_new(new)
    pairs = list(work.pairs.only("id", "response_a", "response_b"))
    margins = margins_of(pairs, judge)
    judgments.record_many(opinions(work, margins), dataset=work.dataset, run=work.run)
    insert_new(
        [
            SignalValue(pair_id=pair, name=SIGNAL, key=work.run.key, value=margin, detail={"judge": judge.pk}, run=work.run)
            for pair, margin in margins.items()
        ]
    )
    return Stored(n_values=n_values, n_missing=len(pairs) - len(margins), error=scored.error)


def margins_of(pairs: list[Pair], judge: Judge) -> dict[int, float]:
    """Reward of B minus that of A, by pair, where both have one."""
    ids = {each for pair in pairs for each in (pair.response_a_id, pair.response_b_id)}
    rewards = dict(Reward.objects.filter(judge=judge, response__in=ids).values_list("response_id", "value"))
    return {
        pair.pk: rewards[pair.response_b_id] - rewards[pair.response_a_id]
        for pair in pairs
        if pair.response_a_id in rewards and pair.response_b_id in rewards
    }


def opinions(work: Work, margins: dict[int, float]) -> list[NewJudgment]:
    """One judgment per pair; those that are there already are passed over by the ledger."""
    return [opinion(pair, work.run.judge, margin) for pair, margin in margins.items()]


def opinion(pair: int, judge: Judge, margin: float) -> NewJudgment:
    """Bradley-Terry: B is better with probability sigmoid(margin); equal rewards are a tie."""
    probability = 0.5 * (1.0 + math.tanh(margin / 2.0))  # sigmoid, without overflow
    distance = abs(probability - 0.5)
    size = 1 if distance < CLEAR else 2 if distance < STRONG else 3
    strength = 0 if margin == 0 else size if margin > 0 else -size
    return NewJudgment(
        pair, judge, strength, tie_kind="" if strength else "tie", probability=probability, detail={"margin": margin}
    )


CODE = ("curation.steps.reward", "curation.steps.heads")
STEP = Step(prepare, compute, store, on_gpu, CODE)
