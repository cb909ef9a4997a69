"""Judges that share a name: which version each is, and whether a newer one is beside it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from curation.types import MODEL_KINDS

SHOWN_CHARS = 7


@dataclass(frozen=True)
class Version:
    """What tells a judge from its namesakes on a page."""

    short: str
    older: bool  # a later version of the same judge is on the page too


def among(judges: Iterable[tuple[int, str, str, str, str]]) -> dict[int, Version]:
    """By judge id, of those that share kind, name and method with another one. judges: (id, kind, name, method, version)."""
    alike: dict[tuple[str, str, str], dict[int, str]] = defaultdict(dict)
    for key, kind, name, method, version in judges:
        if kind in MODEL_KINDS:  # people and imported labels have no order of versions
            alike[kind, name, method][key] = version
    return {
        key: Version(version[:SHOWN_CHARS], key < max(versions))
        for versions in alike.values()
        if len(versions) > 1
        for key, version in versions.items()
    }
