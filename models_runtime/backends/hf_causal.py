"""A causal language model: replies, and the likelihood of given replies by teacher forcing."""

import time
from collections.abc import Sequence
from typing import Any

from models_runtime.backends import huggingface as hf
from models_runtime.backends.base import Backend
from models_runtime.batching import in_batches
from models_runtime.types import Completion, Conversation, GenerationParams, Host, LogLikelihood, ModelSpec

Row = tuple[list[int], list[int]]  # prompt tokens, reply tokens


class CausalModel(Backend):
    """params: max_length (tokens of prompt and reply), dtype, chat_template, include_eos (score the end of the reply too)."""

    capabilities = frozenset({"generate", "loglikelihood"})

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        super().__init__(spec, host=host)
        from transformers import AutoModelForCausalLM

        self.tokenizer, self.model = hf.load(AutoModelForCausalLM, spec, self.host)
        self.limit = hf.input_limit(spec, self.model)
        ends = self.model.generation_config.eos_token_id
        if ends is None:
            ends = self.tokenizer.eos_token_id
        self.ends: list[int] = [ends] if isinstance(ends, int) else list(ends or [])

    def close(self) -> None:
        self.model = None

    def generate(self, conversations: Sequence[Conversation], params: GenerationParams) -> list[Completion | None]:
        self.failures = {}
        rows = {
            index: ids for index, one in enumerate(conversations) if (ids := self._encode(index, one, room=params.max_tokens))
        }
        # Sampling draws one random number per row of the batch: one at a time, so that a reply does not depend on its neighbours.
        most = 64 if params.temperature == 0 else 1
        lengths = [len(ids) + params.max_tokens for ids in rows.values()]
        values = in_batches(
            list(rows.values()),
            lengths,
            lambda batch: self._generate(batch, params),
            budget=self.host.batch_tokens,
            most=most,
            too_big=hf.out_of_memory(),
        )
        found = dict(zip(rows, values, strict=True))
        return [found.get(index) for index in range(len(conversations))]

    def loglikelihood(self, items: Sequence[tuple[Conversation, str]]) -> list[LogLikelihood | None]:
        """The reply is cut into tokens on its own and put behind the templated prompt, as a model would have written it."""
        self.failures = {}
        rows: dict[int, Row] = {}
        for index, (conversation, reply) in enumerate(items):
            reply_ids = self._reply_ids(reply)
            prompt_ids = self._encode(index, conversation, room=len(reply_ids))
            if prompt_ids:
                rows[index] = (prompt_ids, reply_ids)
        lengths = [len(prompt) + len(reply) for prompt, reply in rows.values()]
        values = in_batches(list(rows.values()), lengths, self._score, budget=self.host.batch_tokens, too_big=hf.out_of_memory())
        found = dict(zip(rows, values, strict=True))
        return [found.get(index) for index in range(len(items))]

    def _reply_ids(self, reply: str) -> list[int]:
        encoded = self.tokenizer(hf.encodable(reply), add_special_tokens=False, sanitize_control_tokens=True)
        return list(encoded["input_ids"]) + (self.ends[:1] if self.spec.params.get("include_eos") else [])

    def _encode(self, index: int, conversation: Conversation, *, room: int) -> list[int] | None:
        try:
            ids = hf.token_ids(self.tokenizer, self.spec, conversation, reply_next=True)
        except ValueError as error:
            self._fail(index, str(error))
            return None
        if len(ids) + room > self.limit:
            self._fail(index, f"{len(ids)} tokens and {room} for the reply, the limit is {self.limit}", count="refused")
            return None
        return ids

    def _score(self, rows: list[Row]) -> list[LogLikelihood]:
        import torch

        ids, mask = hf.padded([prompt + reply for prompt, reply in rows], self._pad(), self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=mask).logits
        results = []
        for number, (prompt, reply) in enumerate(rows):
            start, end = len(prompt), len(prompt) + len(reply)
            # The logits at position t - 1 are the model's opinion of the token at t. Single precision, one row at a time.
            opinions = logits[number, start - 1 : end - 1].float().log_softmax(-1)
            chosen = opinions.gather(-1, ids[number, start:end, None])
            results.append(LogLikelihood(total=float(chosen.double().sum()), n_tokens=len(reply)))
        return results

    def _generate(self, rows: list[list[int]], params: GenerationParams) -> list[Completion]:
        import torch

        started = time.monotonic()
        ids, mask = hf.padded(rows, self._pad(), self.model.device, left=True)
        with torch.inference_mode(), torch.random.fork_rng():
            if params.seed is not None:
                torch.manual_seed(params.seed)
            output = self.model.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=params.max_tokens,
                pad_token_id=self._pad(),
                eos_token_id=self.ends or None,
                return_dict_in_generate=True,
                output_logits=params.logprobs,
                **_sampling(params),
                **({"stop_strings": list(params.stop), "tokenizer": self.tokenizer} if params.stop else {}),
            )
        seconds = (time.monotonic() - started) / len(rows)
        written = output.sequences[:, ids.shape[1] :]
        logprobs = _logprobs(output.logits, written) if params.logprobs else None
        return [
            self._completion(len(row), written[number].tolist(), params, seconds, logprobs[number] if logprobs else None)
            for number, row in enumerate(rows)
        ]

    def _completion(
        self, n_prompt: int, tokens: list[int], params: GenerationParams, seconds: float, logprobs: list[float] | None
    ) -> Completion:
        end = next((place for place, token in enumerate(tokens) if token in self.ends), None)
        count = len(tokens) if end is None else end + 1
        text = self.tokenizer.decode(tokens if end is None else tokens[:end], skip_special_tokens=True)
        stop = min((place for word in params.stop if (place := text.find(word)) >= 0), default=None)
        return Completion(
            text=text if stop is None else text[:stop],
            finish_reason="length" if end is None and stop is None else "stop",
            prompt_tokens=n_prompt,
            completion_tokens=count,
            seconds=seconds,
            logprobs=tuple(logprobs[:count]) if logprobs is not None else None,
        )

    def _pad(self) -> int:
        pad = self.tokenizer.pad_token_id
        return pad if pad is not None else (self.ends or [0])[0]


def _sampling(params: GenerationParams) -> dict[str, Any]:
    if params.temperature == 0:
        return {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
    return {"do_sample": True, "temperature": params.temperature, "top_p": params.top_p, "top_k": 0}


def _logprobs(logits: tuple[Any, ...], written: Any) -> list[list[float]]:
    import torch

    steps = torch.stack(logits, dim=1).float().log_softmax(-1)
    chosen: list[list[float]] = steps.gather(-1, written[..., None])[..., 0].cpu().tolist()
    return chosen
