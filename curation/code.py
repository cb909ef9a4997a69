"""Which code made a value: part of the key of every stored result, and of a recipe's provenance. No Django."""

import hashlib
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from curation import __version__

ROOT = Path(__file__).resolve().parent.parent


@cache
def fingerprint(*modules: str) -> str:
    """Hash of the source text of these modules; of a package: all files in it. Imports none of them.

    Any edit to a file that can change a value changes the key it is stored under, so stale values are never taken for new ones.
    """
    digest = hashlib.sha256()
    for name in modules:
        spec = find_spec(name)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        origin = Path(spec.origin)
        files = sorted(origin.parent.rglob("*.py")) if spec.submodule_search_locations else [origin]
        for path in files:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@cache
def version() -> str:
    """Concord's version, and the git commit where there is a checkout: "0.1.0+1a2b3c4d5e6f", "-edited" with local changes."""
    commit = git("rev-parse", "--short=12", "HEAD")
    if not commit:
        return __version__
    return f"{__version__}+{commit}" + ("-edited" if git("status", "--porcelain", "--untracked-files=no") else "")


def git(*arguments: str) -> str:
    """Output of a git command in the checkout; "" where there is no git or no checkout."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603, S607
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
