"""A reward model: a transformers sequence classifier with one label, read at the last token of the conversation."""

import math
from collections.abc import Sequence

from models_runtime.backends import huggingface as hf
from models_runtime.backends.base import Backend
from models_runtime.batching import in_batches
from models_runtime.types import BackendError, Conversation, Host, ModelSpec

OVER_LONG = ("refuse", "truncate_left")


class RewardModel(Backend):
    """params: max_length (tokens), over_long ("refuse": no value, the default; "truncate_left": the newest tokens are kept, and
    the BOS), dtype, chat_template. Refused and truncated inputs are counted."""

    capabilities = frozenset({"reward"})

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        super().__init__(spec, host=host)
        from transformers import AutoModelForSequenceClassification

        self.over_long = spec.params.get("over_long", "refuse")
        if self.over_long not in OVER_LONG:
            raise BackendError(f"over_long {self.over_long!r} is not one of {', '.join(OVER_LONG)}", permanent=True)
        self.tokenizer, self.model = hf.load(AutoModelForSequenceClassification, spec, self.host)
        if self.model.config.num_labels != 1:
            raise BackendError(
                f"{spec.checkpoint} has {self.model.config.num_labels} labels; a reward model has 1", permanent=True
            )
        self.limit = hf.input_limit(spec, self.model)
        self.own_pad = self.model.config.get_text_config().pad_token_id

    def reward(self, conversations: Sequence[Conversation]) -> list[float | None]:
        self.failures = {}
        rows = {index: ids for index, one in enumerate(conversations) if (ids := self._encode(index, one))}
        values = in_batches(
            list(rows.values()),
            [len(ids) for ids in rows.values()],
            self._forward,
            budget=self.host.batch_tokens,
            too_big=hf.out_of_memory(),
        )
        results: list[float | None] = [None] * len(conversations)
        for index, value in zip(rows, values, strict=True):
            if math.isfinite(value):
                results[index] = value
            else:
                self._fail(index, f"the reward is {value}")
        return results

    def close(self) -> None:
        self.model = None

    def _encode(self, index: int, conversation: Conversation) -> list[int] | None:
        try:
            ids = hf.token_ids(self.tokenizer, self.spec, conversation, reply_next=False)
        except ValueError as error:
            self._fail(index, str(error))
            return None
        if len(ids) <= self.limit:
            return ids
        if self.over_long == "refuse":
            self._fail(index, f"{len(ids)} tokens, the limit is {self.limit}", count="refused")
            return None
        self.counts["truncated"] += 1
        head = ids[:1] if ids[0] == self.tokenizer.bos_token_id else []
        return head + ids[len(head) - self.limit :]

    def _forward(self, rows: list[list[int]]) -> list[float]:
        import torch

        pad = self.own_pad
        if pad is None:  # the model reads the last token that is not padding, so the padding must occur in no input
            used = set().union(*rows)
            pad = next(token for token in range(len(used) + 1) if token not in used)
            self.model.config.get_text_config().pad_token_id = pad
        ids, mask = hf.padded(rows, pad, self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask).logits
        values: list[float] = logits[:, 0].float().cpu().tolist()
        return values
