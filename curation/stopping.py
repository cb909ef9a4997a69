"""Whether this worker was asked to stop: one byte shared by a Celery worker and the children it forks."""

import mmap

_asked = mmap.mmap(-1, 1)  # anonymous and shared: made before the fork, seen by all


def ask() -> None:
    """Ask every process of this worker to stop after the chunk in hand."""
    _asked[0] = 1


def reset() -> None:
    """A worker that starts is not stopping."""
    _asked[0] = 0


def asked() -> bool:
    return _asked[0] == 1
