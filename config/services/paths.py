"""Where everything lies below CONCORD_HOME. No Django here: manage.py needs it before settings exist."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

# A unix socket's path is limited to 107 bytes, and PostgreSQL appends "/.s.PGSQL.5432" to its folder.
LONGEST_SOCKET_FOLDER = 85


@dataclass(frozen=True)
class Paths:
    home: Path

    @property
    def sockets(self) -> Path:
        """Folder of the embedded services' sockets: below home, or a private one in /tmp when that is too long."""
        folder = self.home / "run"
        if len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER:
            return folder
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12]
        return Path("/tmp") / f"concord-{os.getuid()}-{digest}"  # noqa: S108

    @property
    def control(self) -> Path:
        """The supervisor's socket: being connected to it keeps the embedded services running."""
        return self.sockets / "control.sock"

    @property
    def valkey_socket(self) -> Path:
        return self.sockets / "valkey.sock"

    @property
    def migrated(self) -> Path:
        """Stamp of the migrations that the embedded database has had."""
        return self.home / "migrated"

    @property
    def postgres_data(self) -> Path:
        return self.home / "postgres"

    @property
    def valkey_data(self) -> Path:
        return self.home / "valkey"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def tmp(self) -> Path:
        return self.home / "tmp"

    @property
    def uploads(self) -> Path:
        return self.home / "uploads"

    @property
    def models(self) -> Path:
        return self.home / "models"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def database_url(self) -> str:
        return f"postgresql://concord@/concord?host={quote(str(self.sockets), safe='')}"

    @property
    def broker_url(self) -> str:
        return f"redis+socket://{self.valkey_socket}"
