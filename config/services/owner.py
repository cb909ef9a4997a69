"""Whose process and files PostgreSQL are: it refuses to run as root, so root gives it to an unprivileged user."""

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.services.errors import ServicesFailed

USER = "concord"


@dataclass(frozen=True)
class Owner:
    """Ids to switch to; both None means: stay who we are."""

    uid: int | None = None
    gid: int | None = None

    def give(self, path: Path) -> None:
        """Make the owner of `path` this user, where we may."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)


def _lookup(name: str) -> Owner | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Owner(found.pw_uid, found.pw_gid)


def _create() -> Owner | None:
    useradd = shutil.which("useradd")
    if useradd:
        # Fails where another process was faster or accounts are read-only; the look-up says which.
        command = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", USER]
        subprocess.run(command, capture_output=True, check=False)  # noqa: S603
    return _lookup(USER)


def service_owner(data: Path) -> Owner:
    """Who runs PostgreSQL over this data folder. Raises ServicesFailed where the folder is another user's."""
    holder = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if holder is not None and holder.st_uid != os.geteuid():
            raise ServicesFailed(f"{data} belongs to another user (uid {holder.st_uid}). Run as that user, or set CONCORD_HOME.")
        return Owner()
    if holder is not None and holder.st_uid != 0:
        return Owner(holder.st_uid, holder.st_gid)
    found = _lookup(USER) or _lookup("postgres") or _create() or _lookup("nobody")
    if found is None:
        raise ServicesFailed("PostgreSQL refuses to run as root and no unprivileged user was found. Run Concord as another user.")
    return found


def closed_parent(path: Path, owner: Owner) -> Path | None:
    """The first folder on the way to `path`, itself included, that the owner may not enter; None when the way is open."""
    if owner.uid is None:
        return None
    for folder in reversed([path, *path.parents]):
        status = folder.stat()
        if status.st_uid == owner.uid:
            needed = stat.S_IXUSR
        elif status.st_gid == owner.gid:
            needed = stat.S_IXGRP
        else:
            needed = stat.S_IXOTH
        if not status.st_mode & needed:
            return folder
    return None
