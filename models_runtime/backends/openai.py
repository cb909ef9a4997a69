"""Any server that speaks the OpenAI chat-completions protocol: vLLM, SGLang, Ollama, hosted ones."""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from models_runtime.backends.base import Backend
from models_runtime.types import BackendError, Completion, Conversation, GenerationParams, Host, ModelSpec

LONGEST_WAIT = 60.0  # seconds between two tries, also where a server asks for more
ITEM_STATUSES = {400, 413, 422}  # this request is at fault; any other 4xx says that no request of ours will do


class _Transient(Exception):
    """Worth another try: 429, 5xx, or no connection."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class _ServerRefuses(BackendError):
    """Key, address or model are wrong: the other items need not be sent."""


class OpenAIServer(Backend):
    """checkpoint: the model's name on the server; the address and the key come from the Host.

    params: extra_body (merged into each request), max_tokens_field ("max_tokens"). Only 429, 5xx and failed connections are
    tried again (jittered exponential wait, Retry-After honoured). One failed item is None and named in `failures`; when no
    item could be answered because of the server (not of the items), the call raises.
    """

    capabilities = frozenset({"generate"})

    def __init__(self, spec: ModelSpec, *, host: Host | None = None) -> None:
        super().__init__(spec, host=host)
        if not self.host.base_url:
            raise BackendError("no address of an OpenAI-compatible server is set", permanent=True)
        if not spec.checkpoint:
            raise BackendError("the judge names no model of the server", permanent=True)
        headers = {"Authorization": f"Bearer {self.host.api_key}"} if self.host.api_key else {}
        self.client = httpx.Client(
            base_url=self.host.base_url,
            headers=headers,
            timeout=self.host.timeout,
            limits=httpx.Limits(max_connections=self.host.concurrency),
        )
        self._refused: _ServerRefuses | None = None

    def close(self) -> None:
        self.client.close()

    def generate(self, conversations: Sequence[Conversation], params: GenerationParams) -> list[Completion | None]:
        self.failures, self._refused = {}, None
        if not conversations:
            return []
        with ThreadPoolExecutor(max_workers=min(self.host.concurrency, len(conversations))) as pool:
            outcomes = list(pool.map(lambda conversation: self._outcome(conversation, params), conversations))
        for index, outcome in enumerate(outcomes):
            if isinstance(outcome, BackendError):
                self._fail(index, str(outcome), permanent=outcome.permanent)
        results = [None if isinstance(outcome, BackendError) else outcome for outcome in outcomes]
        self.counts["prompt_tokens"] += sum(one.prompt_tokens for one in results if one)
        self.counts["completion_tokens"] += sum(one.completion_tokens for one in results if one)
        whole = [
            one for one in outcomes if isinstance(one, _ServerRefuses) or (isinstance(one, BackendError) and not one.permanent)
        ]
        if len(whole) == len(outcomes):
            raise BackendError(str(whole[0]), permanent=whole[0].permanent)
        return results

    def _outcome(self, conversation: Conversation, params: GenerationParams) -> Completion | BackendError:
        if self._refused is not None:
            return self._refused
        body = self._body(conversation, params)
        retrying = Retrying(
            retry=retry_if_exception_type(_Transient), wait=_wait, stop=stop_after_attempt(self.host.attempts), reraise=True
        )
        try:
            return retrying(self._ask, body)
        except _Transient as error:
            return BackendError(f"no answer after {self.host.attempts} tries: {error}", permanent=False)
        except _ServerRefuses as error:
            self._refused = error
            return error
        except BackendError as error:
            return error

    def _body(self, conversation: Conversation, params: GenerationParams) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.spec.checkpoint,
            "messages": [{"role": message.role, "content": message.content} for message in conversation],
            self.spec.params.get("max_tokens_field", "max_tokens"): params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
        }
        if params.seed is not None:
            body["seed"] = params.seed
        if params.stop:
            body["stop"] = list(params.stop)
        if params.logprobs:
            body["logprobs"] = True
        body.update(self.spec.params.get("extra_body", {}))
        return body

    def _ask(self, body: dict[str, Any]) -> Completion:
        started = time.monotonic()
        try:
            response = self.client.post("/chat/completions", json=body)
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            raise _Transient(f"no connection to {self.host.base_url}: {error}") from error
        except httpx.TimeoutException as error:
            raise BackendError(f"no answer within {self.host.timeout:g} s", permanent=False) from error
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as error:
            raise BackendError(f"{type(error).__name__}: {error}", permanent=isinstance(error, UnicodeEncodeError)) from error
        _check(response)
        return _completion(response, time.monotonic() - started)


def _wait(state: RetryCallState) -> float:
    """Full jitter on 0.5 s, 1 s, 2 s, ...; a server that says how long to wait is believed."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Transient) and error.retry_after is not None:
        return min(error.retry_after, LONGEST_WAIT)
    return random.uniform(0, min(0.5 * 2 ** (state.attempt_number - 1), LONGEST_WAIT))  # noqa: S311


def _check(response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        return
    message = f"the server answered {status}: {response.text[:300]}"
    if status == 429 or status >= 500:
        raise _Transient(message, _seconds(response.headers.get("Retry-After")))
    if status in ITEM_STATUSES:
        raise BackendError(message, permanent=True)
    raise _ServerRefuses(message, permanent=True)


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its date form is not used by these servers and counts as absent."""
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def _completion(response: httpx.Response, seconds: float) -> Completion:
    try:
        data = response.json()
        choice = data["choices"][0]
        usage = data.get("usage") or {}
        tokens = (choice.get("logprobs") or {}).get("content")
        text = choice["message"]["content"] or ""
        if not isinstance(text, str):
            raise TypeError("the content is not text")
        return Completion(
            text=text,
            finish_reason=choice.get("finish_reason") or "stop",
            prompt_tokens=int(usage.get("prompt_tokens") or 0),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            seconds=seconds,
            logprobs=tuple(float(token["logprob"]) for token in tokens) if tokens is not None else None,
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise BackendError(f"not a chat completion: {response.text[:200]!r}", permanent=False) from error
