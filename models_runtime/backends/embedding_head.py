"""The embedded default reward model: a Bradley-Terry head on frozen MiniLM embeddings."""

from collections.abc import Sequence
from pathlib import Path

from numpy.typing import ArrayLike

from models_runtime.backends import huggingface as hf
from models_runtime.backends.base import Backend
from models_runtime.backends.minilm import MiniLM
from models_runtime.texts import prompt_and_reply
from models_runtime.training import bradley_terry
from models_runtime.types import BackendError, Conversation, Host, ModelSpec


class EmbeddingHead(Backend):
    """checkpoint: the folder that Head.save wrote; revision: the key it returned, checked where given."""

    capabilities = frozenset({"reward", "embed"})

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        super().__init__(spec, host=host)
        self.head = bradley_terry.load(Path(hf.source(spec, self.host)))
        if spec.revision and spec.revision != self.head.key:
            raise BackendError(f"{spec.checkpoint} holds head {self.head.key[:12]}, not {spec.revision[:12]}", permanent=True)
        self._embedder: MiniLM | None = None

    def reward(self, conversations: Sequence[Conversation]) -> list[float | None]:
        failures: dict[int, BackendError] = {}
        texts: dict[int, tuple[str, str]] = {}
        for index, conversation in enumerate(conversations):
            try:
                texts[index] = prompt_and_reply(conversation)
            except BackendError as error:
                failures[index] = error
        distinct = list(dict.fromkeys(text for both in texts.values() for text in both))
        vectors = dict(zip(distinct, self._vectors(distinct), strict=True))
        self.failures = failures
        self.counts["failed"] += len(failures)
        results: list[float | None] = [None] * len(conversations)
        if texts:
            pairs = list(texts.values())
            scores = self.score_vectors([vectors[prompt] for prompt, _ in pairs], [vectors[reply] for _, reply in pairs])
            for index, score in zip(texts, scores, strict=True):
                results[index] = score
        return results

    def score_vectors(self, prompt_vectors: ArrayLike, response_vectors: ArrayLike) -> list[float]:
        """Rewards from embeddings [n, d] that the caller keeps already; no text model is loaded."""
        return list(map(float, self.head.score(bradley_terry.features(prompt_vectors, response_vectors))))

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        self.failures = {}
        return list(self._vectors(texts))

    def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        if not texts:
            return []
        if self._embedder is None:
            self._embedder = MiniLM(ModelSpec("minilm"), host=self.host)
        vectors = self._embedder.vectors(texts)
        self.counts["truncated"] = self._embedder.counts["truncated"]
        return vectors

    def close(self) -> None:
        if self._embedder is not None:
            self._embedder.close()
