"""A real local HTTP server that speaks chat completions, does as its script says and keeps what it saw."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Reply:
    status: int = 200
    text: str | None = None  # becomes a completion
    body: bytes | None = None  # sent as it is
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    hang_up: bool = False


@dataclass
class Seen:
    """One request, and how many others were under way with it."""

    body: dict
    authorization: str | None
    at: float


@dataclass
class Server:
    url: str
    requests: list[Seen] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0


def completion(text: str) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}).encode()


@contextmanager
def chat_server(script: Callable[[str, int], Reply]) -> Iterator[Server]:
    """`script(content of the last message, how often it was asked before)` decides every answer."""
    lock = threading.Lock()
    asked: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = body["messages"][-1]["content"]
            with lock:
                before = asked.get(content, 0)
                asked[content] = before + 1
                server.requests.append(Seen(body, self.headers.get("Authorization"), time.monotonic()))
                server.under_way += 1
                server.most_under_way = max(server.most_under_way, server.under_way)
            reply = script(content, before) if self.path == "/v1/chat/completions" else Reply(404, body=b"no such path")
            time.sleep(reply.seconds)
            with lock:
                server.under_way -= 1
            self.send(reply)

        def send(self, reply: Reply) -> None:
            if reply.hang_up:
                self.close_connection = True
                return
            payload = reply.body if reply.body is not None else completion(reply.text or "")
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(payload)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(payload)
            except ConnectionError:  # the client gave up
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Keep the test output quiet."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    server = Server(f"http://127.0.0.1:{httpd.server_port}/v1")
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()
