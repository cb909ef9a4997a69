"""What a step is: how to prepare a run of it, compute one range of pairs, and store what came out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from django.conf import settings
from django.db.models import Model, QuerySet

from curation import recipes
from curation.models import Dataset, Judge, Judgment, Pair, Recipe, Run
from curation.rendering import content_text
from models_runtime.texts import conversation_text
from models_runtime.types import Conversation, Host, Message

Queue = Literal["cpu", "gpu"]


class CannotRun(Exception):
    """This step cannot run on this dataset now; the message says what is missing and how to mend it."""


@dataclass(frozen=True)
class Stored:
    """What a chunk left behind. report: figures for the run's page. waits: it is done only when people have answered.

    error: some items failed for now; what the others gave is kept, and the chunk comes back.
    """

    n_values: int = 0
    n_missing: int = 0
    report: Mapping[str, Any] = field(default_factory=dict)
    waits: bool = False
    error: str = ""


@dataclass(frozen=True)
class Work:
    """One range of pair ids of one run. Pairs are always read through `pairs`, so that nothing leaves its dataset."""

    run: Run
    params: recipes.Step
    first: int
    last: int

    @property
    def dataset(self) -> Dataset:
        return self.run.dataset

    @property
    def pairs(self) -> QuerySet[Pair]:
        return Pair.objects.filter(dataset=self.dataset, id__gte=self.first, id__lte=self.last).order_by("id")


def nothing_known(dataset: Dataset, params: recipes.Step) -> dict[str, Any]:
    return {}


@dataclass(frozen=True)
class Step:
    """One kind of step. `compute` runs with no transaction open; `store` in the one that finishes the chunk.

    prepare: checks that the step can run and gives the judge it speaks as, if any; raises CannotRun. recipe: None where the
    step runs by itself. code: modules whose source can change a value. inputs: what else a value depends on (where the ledger
    stands), for the run's key. whole: one chunk over all pairs.
    """

    prepare: Callable[[Dataset, Any, Recipe | None], Judge | None]
    compute: Callable[[Work], Any]
    store: Callable[[Work, Any], Stored]
    queue: Callable[[Any], Queue]
    code: tuple[str, ...]
    inputs: Callable[[Dataset, Any], dict[str, Any]] = nothing_known
    whole: bool = False


def newest(rows: QuerySet[Model]) -> int:
    """The highest id among these rows of an append-only table; 0 where there is none."""
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def where_the_ledger_stands(dataset: Dataset, params: recipes.Step) -> dict[str, int]:
    """For steps whose values depend on all judgments given so far."""
    return {"judgment": newest(Judgment.objects.filter(dataset=dataset))}


def on_cpu(params: recipes.Step) -> Queue:
    return "cpu"


def on_gpu(params: recipes.Step) -> Queue:
    return "gpu"


def host() -> Host:
    """What the operator's settings grant to models on this machine."""
    return Host(
        base_url=settings.JUDGE_URL,
        api_key=settings.JUDGE_API_KEY,
        hf_token=settings.HF_TOKEN,
        model_dirs=tuple(settings.MODEL_DIRS) or None,
        remote_code=frozenset(settings.REMOTE_CODE),
    )


def conversation(messages: Sequence[Mapping[str, Any]]) -> Conversation:
    """Stored messages as models take them; parts that are no text are named in brackets."""
    return tuple(Message(str(message.get("role") or "user"), content_text(message.get("content"))) for message in messages)


def text_of_content(messages: Sequence[Mapping[str, Any]]) -> str:
    """A prompt or a response as the one text that is embedded or shown to a judge: what prompt_and_reply() gives to a model."""
    found = conversation(messages)
    return found[0].content if len(found) == 1 else conversation_text(found)
