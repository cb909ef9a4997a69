"""One model at a time in one process: asking for another closes the one that is resident before loading it."""

import gc
import sys
from threading import Lock

from models_runtime.backends.base import Backend
from models_runtime.registry import backend_class
from models_runtime.types import Host, ModelSpec

_lock = Lock()
_resident: tuple[str, Host, Backend] | None = None


def resident(spec: ModelSpec, *, host: Host | None = None) -> Backend:
    """The back-end for exactly this spec, loaded if it is not there yet. Raises BackendError when it cannot be loaded.

    A worker asks again for every chunk. The caller does not close it; evict() does.
    """
    global _resident
    host = host or Host()
    with _lock:
        if _resident is not None and _resident[:2] == (spec.key, host):
            return _resident[2]
        _evict()
        backend = backend_class(spec.backend)(spec, host=host)
        _resident = (spec.key, host, backend)
        return backend


def evict() -> None:
    """Close the resident model, if there is one, and give its memory back."""
    with _lock:
        _evict()


def _evict() -> None:
    global _resident
    if _resident is None:
        return
    _resident[2].close()
    _resident = None
    gc.collect()
    torch = sys.modules.get("torch")  # never imported for this
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
