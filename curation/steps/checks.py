"""What must be so before a run starts: a model that can do what is asked, a server to ask."""

from django.conf import settings

from curation.steps.base import CannotRun
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
