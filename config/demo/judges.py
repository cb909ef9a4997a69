"""Simulated LLM judges behind a real HTTP server that speaks the OpenAI chat-completions protocol.

The demo has no paid API and no large model at hand, so the judges are simulated, as its people are: each knows the
truth and errs with a stated skill per category, a pull towards the first response and a pull towards the longer one.
Everything between Concord and them is real: requests, prompts, both orders, parsing, retries. With CONCORD_JUDGE_URL
set the demo asks that server instead.
"""

import json
import os
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from config.demo.generator import DemoPair


@dataclass(frozen=True)
class SimulatedJudge:
    skill: Mapping[str, float]  # chance of seeing which response is right, by category
    first_pull: float  # otherwise: chance of picking whatever came first ...
    length_pull: float  # ... or else the longer one; the rest is a coin


JUDGES = {
    "simulated-large": SimulatedJudge(
        {"arithmetic": 0.72, "units": 0.85, "dates": 0.5, "sorting": 0.7, "string_edits": 0.5, "programs": 0.8}, 0.2, 0.5
    ),
    "simulated-small": SimulatedJudge(
        {"arithmetic": 0.45, "units": 0.6, "dates": 0.25, "sorting": 0.5, "string_edits": 0.3, "programs": 0.5}, 0.5, 0.7
    ),
}


def find_pair(pairs: Sequence[DemoPair], content: str) -> tuple[DemoPair, bool] | None:
    """The pair this request is about, and whether its right response is shown first."""
    for pair in pairs:
        if pair.prompt in content:
            rest = content[content.index(pair.prompt) + len(pair.prompt) :]
            right, wrong = rest.rfind(pair.right), rest.rfind(pair.wrong)
            if right >= 0 and wrong >= 0:
                return pair, right < wrong
    return None


def verdict(judge: SimulatedJudge, model: str, pair: DemoPair, *, right_first: bool) -> bool:
    """True when the judge picks the first response. Knowing the truth or not is one draw per pair, shared by both orders."""
    knows = random.Random(f"{model}/{pair.id}").random() < judge.skill[pair.category]  # noqa: S311
    if knows:
        return right_first
    rng = random.Random(f"{model}/{pair.id}/{right_first}")  # noqa: S311
    if rng.random() < judge.first_pull:
        return True
    if rng.random() < judge.length_pull and len(pair.right) != len(pair.wrong):
        return right_first == (len(pair.right) > len(pair.wrong))
    return rng.random() < 0.5


def answer(pairs: Sequence[DemoPair], model: str, content: str) -> str:
    """What the simulated model writes; a question it does not know gets an answer without a verdict."""
    found = find_pair(pairs, content)
    if found is None or model not in JUDGES:
        return "I am a simulated judge and know only the demo's own pairs."
    pair, right_first = found
    first = verdict(JUDGES[model], model, pair, right_first=right_first)
    better, letter = ("first", "A") if first else ("second", "B")
    return f"Both responses address the question. Checked step by step, the {better} one holds up better.\n\n[[{letter}]]"


@contextmanager
def serve(pairs: Sequence[DemoPair]) -> Iterator[str]:
    """Serve the judges on a free local port; yields the base URL (ending in /v1)."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def reply(self, status: int, body: dict[str, object]) -> None:
            payload = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def do_GET(self) -> None:
            self.reply(200, {"object": "list", "data": [{"id": name, "object": "model"} for name in JUDGES]})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = "\n".join(message["content"] for message in request["messages"])
            text = answer(pairs, request["model"], content)
            usage = {"prompt_tokens": len(re.findall(r"\w+", content)), "completion_tokens": len(text.split())}
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            self.reply(200, {"object": "chat.completion", "model": request["model"], "choices": [choice], "usage": usage})

        def log_message(self, *args: object) -> None:
            """Stay quiet: thousands of lines would bury the demo's own."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def environment(url: str) -> Iterator[None]:
    """Child processes started inside find their judges here."""
    os.environ["CONCORD_JUDGE_URL"] = url
    try:
        yield
    finally:
        del os.environ["CONCORD_JUDGE_URL"]


def models_of(url: str) -> tuple[str, ...]:
    """Names of the first two models that an OpenAI-compatible server offers."""
    listed = httpx.get(f"{url.rstrip('/')}/models", timeout=10).raise_for_status().json()
    return tuple(str(model["id"]) for model in listed["data"][:2])
