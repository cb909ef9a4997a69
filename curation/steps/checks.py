"""What must be so before a run starts: a model that can do what is asked, a server to ask."""

from dataclasses import replace
from pathlib import Path

from django.conf import settings

from curation.steps.base import CannotRun
from models_runtime.hashing import key_of
from models_runtime.registry import capabilities_of
from models_runtime.types import BackendError, Capability, ModelSpec


def need_capability(model: ModelSpec, capability: Capability) -> None:
    """Raises CannotRun when the back-end does not exist or cannot do this. Loads no model."""
    try:
        known = capabilities_of(model.backend)
    except (BackendError, LookupError, ValueError) as error:
        raise CannotRun(str(error.args[0]) if error.args else str(error)) from None
    if capability not in known:
        raise CannotRun(f"The back-end {model.backend!r} cannot do {capability!r}; it can do: {', '.join(sorted(known))}.")


def need_server(model: ModelSpec) -> None:
    """Raises CannotRun when a judge is asked over HTTP and nobody said where."""
    if model.backend != "openai":
        return
    if not settings.JUDGE_URL:
        raise CannotRun("No judge server is configured: set CONCORD_JUDGE_URL to the base URL of an OpenAI-compatible server.")
    if not model.checkpoint:
        raise CannotRun("Name the judge's model, as the server at CONCORD_JUDGE_URL calls it.")


def short_name(model: ModelSpec) -> str:
    """What pages show: the last two parts of a hub id or a folder, else the back-end's name."""
    return "/".join(model.checkpoint.rstrip("/").split("/")[-2:])[:200] or model.backend


def pinned(model: ModelSpec) -> ModelSpec:
    """The model with what its local folder holds as its revision, so that other weights there are another judge.

    Names, sizes and times of change stand for the bytes: hashing gigabytes would keep whoever starts the run waiting. A hub
    id or a served model stays as it is, and so does a revision that was given.
    """
    folder = Path(model.checkpoint)
    if model.revision or not model.checkpoint or not folder.is_dir():
        return model
    found = ((path, path.stat()) for path in sorted(folder.iterdir()) if path.is_file())
    return replace(model, revision=f"files-{key_of([[path.name, stat.st_size, stat.st_mtime_ns] for path, stat in found])[:40]}")
