"""Keep the embedded servers running while a block runs."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from config import env
from config.services.errors import ServicesFailed
from config.services.paths import Paths

BASE_DIR = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 90.0  # recovery after a crash in the middle of a big import takes a while
AGAIN_SECONDS = 5.0  # a supervisor started this long ago that does not answer may have died


def home_paths() -> Paths:
    """The folder of this installation's data, as settings.py has it."""
    return Paths(Path(env.text("CONCORD_HOME", str(BASE_DIR / "var"))).resolve())


def embedded_needs() -> list[str]:
    """The servers that no variable names."""
    named = {"postgres": env.secret("DATABASE_URL"), "valkey": env.secret("BROKER_URL")}
    return [name for name, url in named.items() if not url]


@contextmanager
def ensure(paths: Paths | None = None) -> Iterator[None]:
    """The embedded servers that this environment needs run and answer within the block; nothing happens if it names its own.

    Raises ServicesFailed, whose message says what to do. A supervisor that is killed meanwhile is replaced.
    """
    needs = embedded_needs()
    if not needs:
        yield
        return
    hold = Hold(paths or home_paths(), needs)
    hold.connect()
    watcher = threading.Thread(target=hold.watch, name="embedded-services", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        hold.release()
        watcher.join(timeout=5)
        hold.close()


class Hold:
    """A client's connection to the supervisor. The connection is the claim: its end, by kill -9 too, gives the servers up."""

    def __init__(self, paths: Paths, needs: list[str]) -> None:
        self.paths = paths
        self.needs = needs
        self.closing = threading.Event()
        self.connection: socket.socket | None = None

    def connect(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        spawn_at = 0.0
        while not self.closing.is_set():
            if self._dial():
                return
            if time.monotonic() >= spawn_at:
                spawn(self.paths)
                spawn_at = time.monotonic() + AGAIN_SECONDS
            if time.monotonic() > deadline:
                raise ServicesFailed(f"The embedded servers did not start within {START_SECONDS:.0f} s; see {self.paths.logs}.")
            self.closing.wait(0.02)

    def watch(self) -> None:
        """Connect again when the supervisor is gone. The thread's end is the block's end."""
        while not self.closing.is_set():
            connection = self.connection
            try:
                gone = connection is None or not connection.recv(1)
            except OSError:
                gone = True
            if gone and not self.closing.is_set():
                self._reconnect()

    def release(self) -> None:
        self.closing.set()
        if self.connection is not None:
            with suppress(OSError):  # where the supervisor was gone already
                self.connection.shutdown(socket.SHUT_RDWR)  # wakes the watcher

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()

    def _reconnect(self) -> None:
        self.close()
        try:
            self.connect()
        except ServicesFailed as error:
            print(f"Embedded services: {error}", file=sys.stderr)
            self.closing.wait(1)

    def _dial(self) -> bool:
        """Whether a supervisor has everything ready. Raises ServicesFailed with its reason where it gave up."""
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.paths.control))
            connection.sendall(" ".join(self.needs).encode())
            connection.settimeout(START_SECONDS)
            answer = read_answer(connection)
        except PermissionError as error:
            connection.close()
            raise ServicesFailed(
                f"{self.paths.sockets} belongs to another user: run as that user, or set CONCORD_HOME."
            ) from error
        except OSError:
            answer = ""
        if answer == "ready":
            connection.settimeout(None)
            self.connection = connection
            return True
        connection.close()
        if answer.startswith("failed "):
            raise ServicesFailed(answer.removeprefix("failed "))
        return False


def read_answer(connection: socket.socket) -> str:
    """What comes before the zero byte; the empty text where the supervisor left without a word."""
    said = b""
    while not said.endswith(b"\0"):
        part = connection.recv(4096)
        if not part:
            return ""
        said += part
    return said[:-1].decode(errors="replace")


def spawn(paths: Paths) -> None:
    """Start a supervisor that is nobody's child; it ends by itself where one serves already."""
    command = [sys.executable, "-m", "config.services.supervisor", "--detach"]
    environment = os.environ | {"CONCORD_HOME": str(paths.home)}
    done = subprocess.run(  # noqa: S603
        command,
        cwd=BASE_DIR,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServicesFailed(
            done.stdout.strip().splitlines()[-1]
            if done.stdout.strip()
            else "The supervisor of the embedded servers did not start."
        )
