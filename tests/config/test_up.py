"""`manage.py up` as a person runs it: real processes, real signals, nothing left behind."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


class Up:
    """A running `up` with a home of its own, and a mark in its environment by which every process of it is known."""

    def __init__(self, home: Path, *options: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.home = home
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), "--cpu-workers", "1", *options]
        environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "BROKER_URL")}
        self.log = (home / "up.txt").open("w+b")
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment | {"CONCORD_HOME": str(home)},
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def printed(self) -> str:
        return (self.home / "up.txt").read_text()

    def wait_for(self, check: Callable[[], object], what: str, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < deadline, f"waited {seconds} s for {what}; up printed:\n{self.printed()}"
            time.sleep(0.1)

    def processes(self) -> dict[int, str]:
        """Pid and command line of every living process that was started with this home, whoever its parent is by now."""
        mark = f"CONCORD_HOME={self.home}\0".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
        return {pid: command for pid, command in found.items() if command}

    def pid_of(self, words: str) -> int | None:
        """The oldest process whose command line holds these words."""
        return min((pid for pid, command in self.processes().items() if words in command), default=None)

    def doctor(self) -> list[dict[str, str]]:
        environment = os.environ | {"CONCORD_HOME": str(self.home)}
        done = subprocess.run(
            [sys.executable, "manage.py", "doctor", "--json"], cwd=ROOT, env=environment, capture_output=True, check=True
        )
        return json.loads(done.stdout)

    def get(self, path: str) -> tuple[int, str]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()


@pytest.fixture
def start() -> Iterator[Callable[..., Up]]:
    started = []

    def start_up(*options: str) -> Up:
        home = Path(tempfile.mkdtemp(prefix="concord-", dir="/tmp"))
        home.chmod(0o755)
        started.append(Up(home, *options))
        return started[-1]

    yield start_up
    for up in started:
        if up.process.poll() is None:
            up.process.kill()
            up.process.wait()
        up.wait_for(lambda up=up: not up.processes(), "everything to end", 30)
        up.log.close()
        shutil.rmtree(up.home)


def test_up_serves_mends_itself_and_ctrl_c_leaves_nothing_behind(start):
    up = start()
    up.wait_for(lambda: "Concord answers at" in up.printed(), "the address")
    status, page = up.get("/sign-in/")
    assert status == 200
    assert "Sign in" in page
    assert up.get("/healthz") == (200, '{"database": true, "broker": true}')
    up.wait_for(lambda: all(up.pid_of(f"-Q {queue}") for queue in ("cpu", "gpu")), "both workers")

    up.wait_for(lambda: {check["name"]: check["state"] for check in up.doctor()}["workers"] == "ok", "workers that are heard")

    killed = up.pid_of("-Q cpu")
    os.kill(killed, signal.SIGKILL)
    up.wait_for(lambda: "cpu | ended with -9; starting it again" in up.printed(), "the news of the death")
    up.wait_for(lambda: (up.pid_of("-Q cpu") or killed) != killed, "a new worker")

    taken = subprocess.run(
        [sys.executable, "manage.py", "up", "--port", str(up.port)],
        cwd=ROOT, env=os.environ | {"CONCORD_HOME": str(up.home)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert taken.returncode == 1
    assert f"Port {up.port} of 127.0.0.1 is taken" in taken.stderr

    before = time.monotonic()
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=20) == 0, up.printed()
    assert time.monotonic() - before < 12
    # What is left for a moment are the embedded servers, which stop by themselves.
    assert not [command for command in up.processes().values() if "celery" in command or "gunicorn" in command]
    up.wait_for(lambda: not up.processes(), "the servers to stop", 15)
    assert up.printed().rstrip().endswith("Stopped.")


def test_everything_ends_when_up_itself_is_killed(start):
    up = start("--no-web")
    up.wait_for(lambda: all(up.pid_of(f"-Q {queue}") for queue in ("cpu", "gpu")), "both workers")
    up.process.kill()
    up.process.wait()
    up.wait_for(lambda: not up.processes(), "workers and servers to end", 20)
