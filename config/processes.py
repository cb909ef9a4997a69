"""Workers and web as children of one process: restarted when they die, gone when it is gone."""

import http.client
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

from config.services.client import BASE_DIR
from config.services.processes import dies_with_parent

TICK_SECONDS = 0.1
SETTLED_SECONDS = 30.0  # a process that lived this long starts again at once
LONGEST_PAUSE = 30.0
# After the first signal, so many seconds until the next, stronger one. Work lost to them is taken up again: leases end.
STOP_STEPS = ((signal.SIGTERM, 5.0), (signal.SIGQUIT, 2.0), (signal.SIGKILL, 2.0))


@dataclass(frozen=True)
class Program:
    name: str
    command: tuple[str, ...]
    orphan_signal: int = signal.SIGTERM  # what the kernel sends it when we are killed


def worker(queue: str, *options: str) -> Program:
    """A Celery worker of one queue. Left alone it stops at once: SIGTERM would let it finish a task that may take minutes."""
    # Celery's warning about root and its banner say nothing that a reader of `up` can use.
    celery = (sys.executable, "-W", "ignore:You're running the worker", "-m", "celery", "--quiet", "-A", "config", "worker")
    quick = ("--without-mingle", "--without-gossip", "--loglevel", "WARNING")
    command = (*celery, "-Q", queue, "-n", f"{queue}@%h", *quick, *options)
    return Program(queue, command, orphan_signal=signal.SIGQUIT)


def web(host: str, port: int) -> Program:
    bind = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    options = (
        "--bind",
        bind,
        "--workers",
        "2",
        "--threads",
        "4",
        "--timeout",
        "120",
        "--graceful-timeout",
        "3",
        "--log-level",
        "warning",
    )
    return Program("web", (sys.executable, "-m", "gunicorn", *options, "config.wsgi:application"))


def programs(*, host: str, port: int | None, cpu_workers: int) -> list[Program]:
    """What runs on one machine: a worker per queue, and the site unless `port` is None."""
    workers = [worker("cpu", "--concurrency", str(cpu_workers)), worker("gpu", "--pool", "solo", "--concurrency", "1")]
    return workers + ([web(host, port)] if port is not None else [])


class Child:
    """One program: its process, the end of its output that we read, and when to start it next."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at = 0.0
        self.started = 0.0
        self.failures = 0
        self.unfinished = b""

    def start(self) -> None:
        environment = os.environ | {"PYTHONUNBUFFERED": "1", "DJANGO_SETTINGS_MODULE": "config.settings"}
        self.process = subprocess.Popen(  # noqa: S603
            self.program.command,
            cwd=BASE_DIR,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C in the terminal is for us; we stop it in order
            preexec_fn=dies_with_parent(self.program.orphan_signal),
        )
        self.started = time.monotonic()

    def read(self) -> list[str] | None:
        """Whole lines of its output; None at its end."""
        assert self.process is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        part = os.read(self.process.stdout.fileno(), 65536)
        *lines, self.unfinished = (self.unfinished + part).split(b"\n")
        return [line.decode(errors="replace") for line in lines] if part else None

    def pause_after_death(self) -> float:
        """Seconds until the next start: longer each time it dies soon."""
        self.failures = 0 if time.monotonic() - self.started > SETTLED_SECONDS else self.failures + 1
        pause = min(LONGEST_PAUSE, 0.5 * 2 ** (self.failures - 1)) if self.failures else 0.0
        self.start_at = time.monotonic() + pause
        return pause

    def signal_group(self, number: int) -> None:
        """To the process and everything it started, which shares its session."""
        assert self.process is not None  # noqa: S101
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return


class Tree:
    """Runs the programs from a thread of its own: the kernel ties a child to the thread that started it."""

    def __init__(self, wanted: list[Program], say: Callable[[str], None]) -> None:
        self.children = [Child(program) for program in wanted]
        self.say = say
        self.width = max(len(program.name) for program in wanted)
        self.stopping = threading.Event()
        self.selector = selectors.DefaultSelector()
        self.thread = threading.Thread(target=self._run, name="process-tree")

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        """End all of them, in at most about 9 s. Returns when none is left."""
        self.stopping.set()
        self.thread.join()

    def _run(self) -> None:
        while not self.stopping.is_set():
            for child in self.children:
                if child.process is None and time.monotonic() >= child.start_at:
                    self._start(child)
            self._pass_output()
            for child in self.children:
                if child.process is not None and child.process.poll() is not None:
                    self._bury(child)
        self._stop_all()
        self.selector.close()

    def _start(self, child: Child) -> None:
        child.start()
        assert child.process is not None  # noqa: S101
        self.selector.register(child.process.stdout, selectors.EVENT_READ, child)

    def _pass_output(self) -> None:
        for key, _ in self.selector.select(TICK_SECONDS):
            lines = key.data.read()
            if lines is None:
                self.selector.unregister(key.fileobj)
            for line in filter(str.strip, lines or []):
                self._say(key.data, line)
        if not self.selector.get_map():
            time.sleep(TICK_SECONDS)

    def _say(self, child: Child, line: str) -> None:
        with suppress(OSError):  # whoever read our output may be gone; that is no reason to stop serving
            self.say(f"{child.program.name:{self.width}} | {line}")

    def _bury(self, child: Child) -> None:
        assert child.process is not None  # noqa: S101
        code = child.process.returncode
        self._close(child)
        pause = child.pause_after_death()
        self._say(child, f"ended with {code}; starting it again in {pause:.1f} s")

    def _close(self, child: Child) -> None:
        """Forget an ended process, and end what it left behind."""
        assert child.process is not None  # noqa: S101
        child.signal_group(signal.SIGKILL)
        if child.process.stdout in {key.fileobj for key in self.selector.get_map().values()}:
            self.selector.unregister(child.process.stdout)
        child.process.stdout.close()
        child.process = None

    def _stop_all(self) -> None:
        for number, seconds in STOP_STEPS:
            for child in self._alive():
                # Only the first of the group is asked; it knows how to end its own. The last step is for everyone.
                if number == signal.SIGKILL:
                    self._say(child, "does not stop; killing it")
                    child.signal_group(number)
                else:
                    child.process.send_signal(number)
            deadline = time.monotonic() + seconds
            while self._alive() and time.monotonic() < deadline:
                self._pass_output()
        for child in self.children:
            if child.process is not None:
                child.process.wait()
                self._close(child)

    def _alive(self) -> list[Child]:
        return [child for child in self.children if child.process is not None and child.process.poll() is None]


@contextmanager
def tree(
    *, host: str = "127.0.0.1", port: int | None = 8000, cpu_workers: int = 2, say: Callable[[str], None] = print
) -> Iterator[Tree]:
    """Workers, and the site unless `port` is None, run within the block. The services must be there (services.ensure).

    `say` gets every line they print, with their name before it, from another thread.
    """
    running = Tree(programs(host=host, port=port, cpu_workers=cpu_workers), say)
    running.start()
    try:
        yield running
    finally:
        running.stop()


def port_taken(host: str, port: int) -> bool:
    """Whether someone listens there already."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


def answers(host: str, port: int) -> bool:
    """Whether the site gives any HTTP answer there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    with closing(http.client.HTTPConnection(reachable, port, timeout=5)) as connection:
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
    return True


def wait_until_answers(host: str, port: int, *, seconds: float, stop: threading.Event) -> bool:
    """True once the site answers; False after so many seconds or when `stop` is set."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not stop.is_set():
        if answers(host, port):
            return True
        stop.wait(0.1)
    return False
