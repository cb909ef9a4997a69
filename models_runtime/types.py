"""What goes into a model and what comes out. No Django, no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from models_runtime.hashing import key_of

Capability = Literal["reward", "generate", "loglikelihood", "embed"]
Side = Literal["a", "b"]
Preference = Literal["a", "b", "tie"]
Order = Literal["ab", "ba"]


@dataclass(frozen=True)
class Message:
    role: str
    content: str


Conversation = tuple[Message, ...]  # a reply, where there is one, is the last message


@dataclass(frozen=True)
class GenerationParams:
    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class LogLikelihood:
    """Natural-log likelihood of a continuation: the sum over its tokens, and how many there were."""

    total: float
    n_tokens: int

    @property
    def mean(self) -> float:
        return self.total / self.n_tokens if self.n_tokens else 0.0


@dataclass(frozen=True)
class ModelSpec:
    """One model in one exact version: back-end name, where the weights are, their revision, and parameters that change results."""

    backend: str
    checkpoint: str = ""
    revision: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return key_of(asdict(self))


class BackendError(Exception):
    """A model could not answer. permanent: trying again will not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Unsupported(BackendError):
    """The back-end does not have this capability."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)
