"""Embedded PostgreSQL and Valkey."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext


def ensure_for_command(argv: Sequence[str]) -> AbstractContextManager[None]:
    return nullcontext()
