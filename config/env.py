"""Environment variables that refuse bad values at start, instead of surprising someone later."""

import os
from pathlib import Path


class BadEnvironment(SystemExit):
    """A variable holds something the app cannot use; the message says what it takes."""


def text(name: str, default: str = "") -> str:
    """The variable's text, or `default` where it is unset or empty."""
    return os.environ.get(name) or default


def boolean(name: str, default: bool) -> bool:
    """1/true or 0/false; anything else stops the process."""
    value = text(name).lower()
    if value in ("1", "true"):
        return True
    if value in ("0", "false"):
        return False
    if value:
        raise BadEnvironment(f"{name}={value!r}: use 1 or 0.")
    return default


def integer(name: str, default: int, *, least: int = 0) -> int:
    """A whole number of at least `least`."""
    value = text(name)
    if not value:
        return default
    if not value.isdigit() or int(value) < least:
        raise BadEnvironment(f"{name}={value!r}: use a whole number of at least {least}.")
    return int(value)


def names(name: str) -> list[str]:
    """A comma-separated list, blanks dropped."""
    return [part.strip() for part in text(name).split(",") if part.strip()]


def secret(name: str) -> str:
    """The variable, or the content of the file that NAME_FILE names (how containers hand secrets over)."""
    path = text(f"{name}_FILE")
    if not path:
        return text(name)
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise BadEnvironment(f"{name}_FILE={path!r} cannot be read: {error.strerror}.") from error
