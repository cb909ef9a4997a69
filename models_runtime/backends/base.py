"""The contract of every back-end: batch in, list out, same order and length, None where there is no value."""

from collections import Counter
from collections.abc import Sequence
from typing import ClassVar

from models_runtime.types import (
    BackendError,
    Capability,
    Completion,
    Conversation,
    GenerationParams,
    Host,
    LogLikelihood,
    ModelSpec,
    Unsupported,
)


class Backend:
    """One loaded model. A sub-class names its capabilities and overrides the methods that belong to them.

    Constructors take one ModelSpec and, by keyword, the Host. They raise BackendError(permanent=True) when the model cannot
    be loaded as asked. A method raises BackendError when it could answer nothing at all; when single items fail, their value
    is None and `failures` says why.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset()

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        self.spec = spec
        self.host = host or Host()
        self.failures: dict[int, BackendError] = {}  # of the last call: index of the item -> why its value is None
        self.counts: Counter[str] = Counter()  # since loading: "refused" and "truncated" inputs, "failed" items, ...

    def reward(self, conversations: Sequence[Conversation]) -> list[float | None]:
        """One scalar per conversation, whose last message is the reply to score."""
        raise self._unsupported("reward")

    def generate(self, conversations: Sequence[Conversation], params: GenerationParams) -> list[Completion | None]:
        """The model's reply to each conversation."""
        raise self._unsupported("generate")

    def loglikelihood(self, items: Sequence[tuple[Conversation, str]]) -> list[LogLikelihood | None]:
        """How likely the model finds each text as its reply to the conversation; natural log, the reply's tokens only."""
        raise self._unsupported("loglikelihood")

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        """One unit vector per text."""
        raise self._unsupported("embed")

    def close(self) -> None:
        """Let go of memory and connections. The object is not used afterwards; closing twice is harmless."""

    def _unsupported(self, capability: Capability) -> Unsupported:
        return Unsupported(
            f"back-end {self.spec.backend!r} cannot {capability}; it can {', '.join(sorted(self.capabilities)) or 'nothing'}"
        )

    def _fail(self, index: int, message: str, *, permanent: bool = True, count: str = "failed") -> None:
        self.failures[index] = BackendError(message, permanent=permanent)
        self.counts[count] += 1
