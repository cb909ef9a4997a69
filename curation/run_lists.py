"""Runs and recipes as the pages list them: states of many in a few statements. Read-only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, Q, Sum

from curation.models import Chunk, ChunkState, Dataset, Recipe, Run
from curation.progress import STARTED, state_of

STEP_WORDS = {
    "signals": "measure signals",
    "embed": "embed texts",
    "reward": "score responses",
    "judge": "ask a language model",
    "train_head": "train a reward head",
    "consensus": "weigh all opinions",
    "review": "ask people",
    "decide": "decide",
}

REPORT_WORDS = {
    "n_gold": "Labels from people",
    "n_stored": "Stored labels",
    "held_out_accuracy": "Right on held-out labels",
    "held_out_accuracy_on_gold": "Right on people's labels held out",
    "skipped": "Nothing was trained",
}
REPORT_SHARES = ("held_out_accuracy", "held_out_accuracy_on_gold")
REPORT_KEYS = ("not_planned", "labels", "judge", "batch")  # for the program; the page shows what they point at


def report_rows(report: Mapping[str, Any]) -> list[tuple[str, Any, bool]]:
    """(name in words, value, whether it is a share) of what a run's page shows of its report."""
    return [
        (REPORT_WORDS.get(name) or name.replace("_", " ").capitalize(), value, name in REPORT_SHARES)
        for name, value in report.items()
        if name not in REPORT_KEYS
    ]


@dataclass(frozen=True)
class RunRow:
    """A run with what its chunks say together."""

    run: Run
    n_pairs: int = 0
    n_done: int = 0
    n_failed: int = 0  # pairs in chunks that gave up
    started: bool = False
    reviewing: bool = False  # its batch is open and it waits for answers
    broken: bool = False  # a chunk gave up, if only the one that says why nothing could be planned

    @property
    def title(self) -> str:
        # A run with a judge says which beside its title.
        params = {**self.run.params, "model": None} if self.run.judge_id else self.run.params
        return step_words(self.run.step, params)

    @property
    def open(self) -> bool:
        return self.run.finished_at is None and self.run.cancelled_at is None

    @property
    def state(self) -> str:
        return state_of(self.run, started=self.started, reviewing=self.reviewing, broken=self.broken)

    @property
    def share(self) -> float:
        """Of the pairs, done or given up; 1 for a finished run without pairs."""
        return (self.n_done + self.n_failed) / self.n_pairs if self.n_pairs else float(bool(self.run.finished_at))

    @property
    def seconds(self) -> float | None:
        ended = self.run.finished_at or self.run.cancelled_at
        return (ended - self.run.created_at).total_seconds() if ended else None


def step_words(step: str, params: dict[str, Any]) -> str:
    """A step in words, with what tells it from its like: the model it runs or the policy it follows."""
    words = STEP_WORDS.get(step, step.replace("_", " "))
    model = params.get("model") or {}
    if isinstance(model, dict) and model.get("checkpoint"):
        return f"{words} ({str(model['checkpoint']).rstrip('/').rsplit('/', 1)[-1]})"
    return f"{words} ({params['policy']})" if params.get("policy") else words


def with_chunks(runs: Iterable[Run]) -> list[RunRow]:
    """Rows of these runs, in one statement for all their chunks."""
    listed = list(runs)
    done, failed = Q(state=ChunkState.DONE), Q(state=ChunkState.FAILED)
    counted = (
        Chunk.objects.filter(run__in=listed)
        .values_list("run")
        .annotate(
            pairs=Sum("n_pairs"),
            done=Sum("n_pairs", filter=done, default=0),
            failed=Sum("n_pairs", filter=failed, default=0),
            begun=Count("id", filter=STARTED),
            waiting=Count("id", filter=Q(state=ChunkState.WAITING)),
            broken=Count("id", filter=failed),
        )
    )
    figures = {run: rest for run, *rest in counted}
    rows = []
    for run in listed:
        pairs, done, failed, begun, waiting, broken = figures.get(run.pk, (0,) * 6)
        rows.append(RunRow(run, pairs, done, failed, bool(begun), bool(waiting), bool(broken)))
    return rows


def recent(dataset: Dataset, *, n: int, before: int | None = None) -> list[RunRow]:
    """The newest runs, or those older than a run id."""
    found = Run.objects.filter(dataset=dataset).select_related("judge", "recipe", "created_by").order_by("-pk")
    return with_chunks((found.filter(pk__lt=before) if before else found)[:n])


@dataclass(frozen=True)
class StepRow:
    """One step of a started recipe; `run` is None until its turn comes."""

    number: int
    title: str
    details: dict[str, Any] = field(default_factory=dict)
    run: RunRow | None = None

    @property
    def state(self) -> str:
        return self.run.state if self.run else "to come"


def steps_of(recipe: Recipe) -> list[StepRow]:
    """The recipe's steps in order, each with its run where it has one."""
    rows = {row.run.step_no: row for row in with_chunks(recipe.runs.select_related("judge").order_by("step_no"))}
    steps = recipe.definition.get("steps", [])
    return [
        StepRow(
            number, step_words(step["step"], step), {key: value for key, value in step.items() if key != "step"}, rows.get(number)
        )
        for number, step in enumerate(steps)
    ]


def recipe_state(recipe: Recipe, steps: list[StepRow]) -> str:
    """cancelled, done, failed, or that of the step at hand."""
    if recipe.cancelled_at:
        return "cancelled"
    begun = [step for step in steps if step.run]
    if steps and len(begun) == len(steps) and all(step.state == "done" for step in steps):
        return "done"
    return begun[-1].state if begun and begun[-1].state != "done" else "running"
