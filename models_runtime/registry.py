"""Which back-ends there are and what each can do, known without importing any of them (and so without torch)."""

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from models_runtime.types import BackendError, Capability

if TYPE_CHECKING:
    from models_runtime.backends.base import Backend


@dataclass(frozen=True)
class Entry:
    path: str  # module:class
    capabilities: frozenset[Capability]


def _entry(path: str, *capabilities: Capability) -> Entry:
    return Entry(f"models_runtime.backends.{path}", frozenset(capabilities))


BACKENDS: dict[str, Entry] = {
    "hf_reward": _entry("hf_reward:RewardModel", "reward"),
    "hf_causal": _entry("hf_causal:CausalModel", "generate", "loglikelihood"),
    "openai": _entry("openai:OpenAIServer", "generate"),
    "minilm": _entry("minilm:MiniLM", "embed"),
    "embedding_head": _entry("embedding_head:EmbeddingHead", "reward", "embed"),
    "scripted": _entry("scripted:Scripted", "reward", "generate", "loglikelihood", "embed"),
}


def _find(name: str) -> Entry:
    if name not in BACKENDS:
        raise BackendError(f"no back-end {name!r}; there are {', '.join(sorted(BACKENDS))}", permanent=True)
    return BACKENDS[name]


def capabilities_of(name: str) -> frozenset[Capability]:
    """What the back-end can do. Raises BackendError with the list of known names."""
    return _find(name).capabilities


def backend_class(name: str) -> "type[Backend]":
    """The class of the back-end, imported now. Raises BackendError with the list of known names, or when a package is missing."""
    module_name, class_name = _find(name).path.split(":")
    found: type[Backend] = getattr(import_module(module_name), class_name)
    return found
