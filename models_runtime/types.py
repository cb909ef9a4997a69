"""What goes into a model and what comes out. No Django, no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
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
    logprobs: bool = False  # also give the log-probability of every generated token


@dataclass(frozen=True)
class Completion:
    text: str
    finish_reason: str = "stop"  # "length": cut off at max_tokens
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0  # a batch's time is shared out evenly
    logprobs: tuple[float, ...] | None = None  # natural log, one per generated token


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
    """One model in one exact version: back-end name, where the weights are, their revision, parameters that change results."""

    backend: str
    checkpoint: str = ""
    revision: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return key_of(asdict(self))


@dataclass(frozen=True)
class Host:
    """What this machine and its operator grant a model. Nothing in it may change a result, so none of it is part of a key."""

    base_url: str = ""  # of an OpenAI-compatible server, with its version: http://localhost:8000/v1
    api_key: str = field(default="", repr=False)
    hf_token: str = field(default="", repr=False)
    model_dirs: tuple[Path, ...] | None = None  # folders below which local checkpoints may lie; None: anywhere
    remote_code: frozenset[str] = frozenset()  # hub ids or folders whose own Python code may run
    batch_tokens: int = 16_384  # padded tokens of one forward pass
    concurrency: int = 8  # HTTP requests under way at once
    timeout: float = 120.0  # seconds for one HTTP answer
    attempts: int = 5  # HTTP tries of one item


class BackendError(Exception):
    """A model could not answer. permanent: trying again will not help."""

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.permanent = permanent


class Unsupported(BackendError):
    """The back-end does not have this capability."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)
