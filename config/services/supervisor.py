"""The process that runs the embedded servers of one CONCORD_HOME: python -m config.services.supervisor --detach.

It restarts a server that dies, serves until its last client is gone, and stops both cleanly. One thread, no Django.
"""

import os
import selectors
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import Protocol

from config.services.client import home_paths
from config.services.errors import ServicesFailed
from config.services.owner import Owner, service_owner
from config.services.paths import Paths
from config.services.postgres import Postgres
from config.services.processes import is_running, last_lines, read_pid, start, try_lock, write_pid
from config.services.valkey import Valkey

GRACE_SECONDS = 2.0  # between the last client's end and ours: commands in a row share the servers
LOCK_SECONDS = 40.0  # longest wait for a supervisor or server that is still stopping
FORCE_SECONDS = 20.0  # from asking a server to stop to insisting
ATTEMPTS = 5  # starts in a row that may fail before the first success
LOG_BYTES = 10_000_000


class Service(Protocol):
    name: str
    stop_signal: int
    force_signal: int
    log: Path
    owner: Owner

    def prepare(self) -> None: ...
    def command(self) -> list[str | Path]: ...
    def ready(self) -> bool: ...


def say(message: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}", flush=True)


class Child:
    """One server process and its state: waiting for its lock, starting, ready, or waiting to be started again."""

    def __init__(self, service: Service, paths: Paths) -> None:
        self.service = service
        self.marker = str(paths.sockets)
        self.lock_path = paths.home / f"{service.name}.lock"
        self.process = None
        self.ready = False
        self.was_ready = False
        self.failures = 0
        self.start_at = 0.0
        self.waiting_since = 0.0

    def tick(self) -> None:
        """One look: start, notice readiness, or notice death. Raises ServicesFailed where it never came up."""
        if self.process is None:
            if time.monotonic() >= self.start_at:
                self._start()
        elif self.process.poll() is not None:
            self._died()
        elif not self.ready and self.service.ready():
            self.ready, self.was_ready, self.failures = True, True, 0
            say(f"{self.service.name} is ready, pid {self.process.pid}")

    def _start(self) -> None:
        lock = try_lock(self.lock_path)
        if lock is None:
            self._hurry_orphan()
            return
        self.waiting_since = 0.0
        try:
            self.service.prepare()
            log, owner = self.service.log, self.service.owner
            self.process = start(
                self.service.command(), log=log, stop_signal=self.service.stop_signal, lock=lock, user=owner.uid, group=owner.gid
            )
            write_pid(lock, self.process.pid)
        finally:
            os.close(lock)  # from here on the server holds it, with every process it starts

    def _hurry_orphan(self) -> None:
        """A server of an earlier supervisor still holds the lock: the kernel told it to stop; make sure that it does."""
        now = time.monotonic()
        self.waiting_since = self.waiting_since or now
        waited = now - self.waiting_since
        if waited > LOCK_SECONDS:
            raise ServicesFailed(f"An earlier {self.service.name} does not stop. Its pid is in {self.lock_path}.")
        pid = read_pid(self.lock_path)
        if pid and waited > 1 and is_running(pid, self.marker):
            os.kill(pid, self.service.force_signal if waited > FORCE_SECONDS else self.service.stop_signal)
        self.start_at = now + (0.05 if waited < 1 else 1.0)

    def _died(self) -> None:
        assert self.process is not None  # noqa: S101
        say(f"{self.service.name} ended with {self.process.returncode}; starting it again")
        self.process, self.ready = None, False
        self.failures += 1
        if self.failures >= ATTEMPTS and not self.was_ready:
            raise ServicesFailed(
                f"{self.service.name} does not start; {self.service.log} ends with:\n{last_lines(self.service.log)}"
            )
        self.start_at = time.monotonic() + min(5.0, 0.05 * 2**self.failures)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.service.stop_signal)

    def wait(self, deadline: float) -> None:
        """Until it ended, insisting after the deadline."""
        if self.process is None:
            return
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                say(f"{self.service.name} does not stop; insisting")
                self.process.send_signal(self.service.force_signal)
                deadline = time.monotonic() + 5
            time.sleep(0.01)
        say(f"{self.service.name} stopped with {self.process.returncode}")


class Supervisor:
    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.children: dict[str, Child] = {}
        self.needs: dict[socket.socket, set[str]] = {}  # of each client, once it said so
        self.answered: set[socket.socket] = set()
        self.alone_since = time.monotonic()
        self.stopping = False
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)

    def run(self) -> None:
        self._listen()
        try:
            while not self.stopping and (self.needs or time.monotonic() - self.alone_since < GRACE_SECONDS):
                self._step()
            self._leave()
        except ServicesFailed as error:
            say(str(error))
            self._leave(str(error))
        finally:
            for child in self.children.values():
                child.stop()
            for child in self.children.values():
                child.wait(time.monotonic() + FORCE_SECONDS)

    def _listen(self) -> None:
        self.paths.control.unlink(missing_ok=True)
        self.listener.bind(str(self.paths.control))
        self.listener.listen(128)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        wake_read, wake_write = socket.socketpair()
        wake_read.setblocking(False)
        wake_write.setblocking(False)
        self.wake = (wake_read, wake_write)
        signal.set_wakeup_fd(wake_write.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: setattr(self, "stopping", True))
        self.selector.register(wake_read, selectors.EVENT_READ)

    def _step(self) -> None:
        settled = all(child.ready for child in self.children.values())
        for key, _ in self.selector.select(0.5 if settled else 0.01):
            if key.fileobj is self.listener:
                self._accept()
            elif key.fileobj is self.wake[0]:
                self.wake[0].recv(4096)
            else:
                self._read(key.fileobj)
        for child in self.children.values():
            child.tick()
        for client, needs in self.needs.items():
            if client not in self.answered and needs and all(self.children[name].ready for name in needs):
                self._answer(client, "ready")

    def _accept(self) -> None:
        client, _ = self.listener.accept()
        client.setblocking(False)
        self.needs[client] = set()
        self.selector.register(client, selectors.EVENT_READ)

    def _read(self, client: socket.socket) -> None:
        try:
            said = client.recv(4096)
        except OSError:
            said = b""
        if not said:
            self._forget(client)
            return
        self.needs[client] = {name for name in said.decode(errors="replace").split() if name in ("postgres", "valkey")}
        for name in self.needs[client] - self.children.keys():
            service = Postgres(self.paths) if name == "postgres" else Valkey(self.paths)
            self.children[name] = Child(service, self.paths)

    def _forget(self, client: socket.socket) -> None:
        self.selector.unregister(client)
        client.close()
        del self.needs[client]
        self.answered.discard(client)
        self.alone_since = time.monotonic()

    def _answer(self, client: socket.socket, message: str) -> None:
        self.answered.add(client)
        try:
            client.sendall(message.encode() + b"\0")
        except OSError:
            say("a client left while it was answered")

    def _leave(self, message: str = "") -> None:
        """Take the address away first: whoever comes now starts a new supervisor, which waits for our lock."""
        self.paths.control.unlink(missing_ok=True)
        self.listener.close()
        for client in self.needs:
            if message and client not in self.answered:
                self._answer(client, f"failed {message}")
            client.close()


def make_folders(paths: Paths) -> None:
    """Home, logs, and the private folder of the sockets. Raises ServicesFailed where someone else's stands in its place."""
    for folder in (paths.home, paths.logs):
        folder.mkdir(parents=True, exist_ok=True)
    owner = service_owner(paths.postgres_data)
    paths.sockets.mkdir(mode=0o700, exist_ok=True)
    found = paths.sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (os.geteuid(), owner.uid):
        raise ServicesFailed(f"{paths.sockets} is not a folder of ours. Remove it, or set CONCORD_HOME to another folder.")
    paths.sockets.chmod(0o700)
    owner.give(paths.sockets)
    for log in paths.logs.glob("*.log"):
        if log.stat().st_size > LOG_BYTES:
            log.replace(log.with_suffix(".log.1"))


def lock_home(paths: Paths) -> int | None:
    """The lock of this home's one supervisor; None when another one serves already."""
    deadline = time.monotonic() + LOCK_SECONDS
    while time.monotonic() < deadline:
        lock = try_lock(paths.home / "supervisor.lock")
        if lock is not None:
            return lock
        with socket.socket(socket.AF_UNIX) as other:
            if other.connect_ex(str(paths.control)) == 0:
                return None
        time.sleep(0.05)
    raise ServicesFailed(f"An earlier supervisor of {paths.home} does not end.")


def detach(log: Path) -> None:
    """Go on in a child of nobody: the command that started us may end, or be interrupted, before we do."""
    if os.fork():
        os._exit(0)
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def main() -> None:
    paths = home_paths()
    try:
        make_folders(paths)
        if "--detach" in sys.argv:
            detach(paths.logs / "supervisor.log")
        lock = lock_home(paths)
        if lock is not None:
            write_pid(lock, os.getpid())
            Supervisor(paths).run()
    except (ServicesFailed, OSError) as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
