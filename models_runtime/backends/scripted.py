"""A model for tests: answers come from a table in the spec or from a stable hash of the input, never from chance."""

import math
import time
from collections.abc import Sequence
from hashlib import sha256

from models_runtime.backends.base import Backend
from models_runtime.types import Completion, Conversation, GenerationParams, LogLikelihood


class Scripted(Backend):
    """params: rewards {reply: value}; completions [[text that the last message holds, reply], ...], first match wins;
    none_for [text, ...]: inputs that hold one of these get no value; seconds: how long each item takes; dimensions (8)."""

    capabilities = frozenset({"reward", "generate", "loglikelihood", "embed"})

    def reward(self, conversations: Sequence[Conversation]) -> list[float | None]:
        self.failures = {}
        table = self.spec.params.get("rewards", {})
        replies = [conversation[-1].content if conversation else "" for conversation in conversations]
        return [
            table.get(reply, 2 * self._draw("reward", repr(conversation)) - 1) if self._answers(index, reply) else None
            for index, (conversation, reply) in enumerate(zip(conversations, replies, strict=True))
        ]

    def generate(self, conversations: Sequence[Conversation], params: GenerationParams) -> list[Completion | None]:
        self.failures = {}
        results: list[Completion | None] = []
        for index, conversation in enumerate(conversations):
            asked = conversation[-1].content if conversation else ""
            results.append(self._reply(asked, params) if self._answers(index, asked) else None)
        return results

    def loglikelihood(self, items: Sequence[tuple[Conversation, str]]) -> list[LogLikelihood | None]:
        self.failures = {}
        return [
            LogLikelihood(-len(reply.split()) * (0.5 + self._draw("likelihood", repr((asked, reply)))), len(reply.split()))
            if self._answers(index, reply)
            else None
            for index, (asked, reply) in enumerate(items)
        ]

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        self.failures = {}
        return [self._vector(text) if self._answers(index, text) else None for index, text in enumerate(texts)]

    def _reply(self, asked: str, params: GenerationParams) -> Completion:
        table = self.spec.params.get("completions", [])
        default = "[[A]]" if self._draw("reply", asked) < 0.5 else "[[B]]"
        words = next((reply for part, reply in table if part in asked), default).split(" ")
        cut = len(words) > params.max_tokens
        return Completion(
            text=" ".join(words[: params.max_tokens]),
            finish_reason="length" if cut else "stop",
            prompt_tokens=len(asked.split()),
            completion_tokens=min(len(words), params.max_tokens),
        )

    def _vector(self, text: str) -> list[float]:
        values = [2 * self._draw(str(place), text) - 1 for place in range(self.spec.params.get("dimensions", 8))]
        length = math.sqrt(sum(value * value for value in values))
        return [value / length for value in values]

    def _answers(self, index: int, text: str) -> bool:
        time.sleep(self.spec.params.get("seconds", 0))
        if any(part in text for part in self.spec.params.get("none_for", [])):
            self._fail(index, "the script has no answer for this item")
            return False
        return True

    def _draw(self, purpose: str, text: str) -> float:
        """A number in [0, 1) that depends on the spec, the purpose and the text alone."""
        digest = sha256(f"{self.spec.checkpoint}/{purpose}/{text}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:6]) / 2**48
