"""Step "judge": ask a language model about every pair in both orders. What cannot be read is kept raw and counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from curation import judgments, recipes
from curation.code import fingerprint
from curation.judgments import NewJudgment
from curation.models import Dataset, Judge, JudgeKind, Judgment, Recipe
from curation.steps.base import CannotRun, Queue, Step, Stored, Work, conversation, host, text_of_content
from curation.steps.checks import need_capability, need_server, pinned, short_name
from models_runtime.judging import TEMPLATES, Answer, compare, judge_spec
from models_runtime.loading import resident
from models_runtime.types import GenerationParams, ModelSpec

ORDERS = ("ab", "ba")


@dataclass
class Asked:
    """Answers for the ledger, and why some questions got none for now."""

    answers: list[NewJudgment]
    error: str = ""

    def take(self, work: Work, pair: int, sample: int, answers: Sequence[Answer]) -> None:
        """Questions that failed for now are left open, so that asking again asks them alone."""
        for answer in answers:
            if answer.error and not answer.permanent:
                self.error = answer.error
            else:
                self.answers.append(as_judgment(work, pair, sample, answer))


def queue(params: recipes.LlmJudge) -> Queue:
    """A served model is asked over HTTP and needs no GPU here."""
    return "cpu" if params.model.backend == "openai" else "gpu"


def prepare(dataset: Dataset, params: recipes.LlmJudge, recipe: Recipe | None) -> Judge:
    need_capability(params.model, "generate")
    need_server(params.model)
    if params.template not in TEMPLATES:
        raise CannotRun(f"There is no judge template {params.template!r}; there are: {', '.join(TEMPLATES)}.")
    spec = {
        **judge_spec(pinned(params.model), params.template, generation(params, sample=0)),
        "code": fingerprint("models_runtime.judging", "models_runtime.parsers"),
    }
    name = short_name(params.model)
    return judgments.model_judge(dataset.workspace, JudgeKind.LLM_JUDGE, name, method=params.template, spec=spec)


def generation(params: recipes.LlmJudge, *, sample: int) -> GenerationParams:
    """A seed per sample, so that samples differ and each can be drawn again; none where the answer is the likeliest one."""
    seed = sample if params.temperature > 0 else None
    return GenerationParams(max_tokens=params.max_tokens, temperature=params.temperature, seed=seed)


def compute(work: Work) -> Asked:
    """Answers to what this judge has not answered yet: both orders of every sample that lacks one."""
    params: Any = work.params
    rows = list(work.pairs.values_list("id", "prompt__messages", "response_a__messages", "response_b__messages"))
    asked = Asked([])
    model = ModelSpec(**work.run.judge.spec["model"])
    for sample in range(params.samples):
        done = answered(work, sample)
        open_rows = [row for row in rows if row[0] not in done]
        items = [(conversation(prompt), text_of_content(a), text_of_content(b)) for _, prompt, a, b in open_rows]
        if items:
            both = compare(resident(model, host=host()), params.template, items, generation(params, sample=sample))
            for row, answers in zip(open_rows, both, strict=True):
                asked.take(work, row[0], sample, answers)
    return asked


def answered(work: Work, sample: int) -> set[int]:
    """Pairs that have this sample in both orders."""
    done = Judgment.objects.filter(pair__in=work.pairs.values("id"), judge=work.run.judge, occasion=sample, supersedes=None)
    first, second = (set(done.filter(order_shown=order).values_list("pair_id", flat=True)) for order in ORDERS)
    return first & second


def as_judgment(work: Work, pair: int, sample: int, answer: Answer) -> NewJudgment:
    """One answer as a row of the ledger; the answer's sides are the pair's own already."""
    strength, tie_kind = signed(answer)
    return NewJudgment(
        pair_id=pair, judge=work.run.judge, strength=strength, tie_kind=tie_kind, order_shown=answer.order, occasion=sample,
        seconds=answer.seconds, raw_output=(answer.raw or "").replace("\0", ""),
        detail={
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            **({"error": answer.error} if answer.error else {}),
        },
    )  # fmt: skip


def signed(answer: Answer) -> tuple[int | None, str]:
    """(strength, tie_kind) as the ledger keeps them."""
    if answer.preference is None:
        return None, "unreadable"
    if answer.preference == "tie":
        return 0, "tie"
    return answer.strength, ""


def store(work: Work, asked: Asked) -> Stored:
    n_values = judgments.record_many(asked.answers, dataset=work.dataset, run=work.run)
    unreadable = Judgment.objects.filter(pair__in=work.pairs.order_by().values("id"), judge=work.run.judge, tie_kind="unreadable")
    return Stored(n_values=n_values, n_missing=unreadable.values("pair").distinct().count(), error=asked.error)


STEP = Step(prepare, compute, store, queue, ("curation.steps.judge",))
