"""What the rows of a file mean: pairs with labels, verdicts of judges, or TRL preference rows. Pure: no Django.

parse(shape, row) is total: any JSON object gives a pair, a verdict or nothing, and the faults found on the way.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from curation.importers import opinions, preference
from curation.importers.faults import Broken, Fault, shown
from curation.importers.fields import bounded, identifier, side_faults
from curation.importers.messages import Messages, prompt_of, response_of
from curation.importers.opinions import Opinion
from curation.importers.reading import kind_of

SHAPES = ("concord", "verdicts", "preference")
DETECT_ROWS = 50


@dataclass(slots=True)
class PairRow:
    """One pair as a file holds it. external_id "": the file names none."""

    external_id: str
    prompt: Messages
    response_a: Messages
    response_b: Messages
    metadata: dict[str, Any]
    opinions: list[Opinion]


@dataclass(slots=True)
class VerdictRow:
    """One judgment of a pair that another row, or another file, holds."""

    pair_id: str
    opinion: Opinion


@dataclass(slots=True)
class Parsed:
    row: PairRow | VerdictRow | None
    faults: list[Fault] = field(default_factory=list)
    external_id: str = ""


def shape_of(row: dict[str, Any]) -> str | None:
    if "chosen" in row and "rejected" in row:
        return "preference"
    if "response_a" in row and "response_b" in row:
        return "concord"
    if "pair_id" in row and "judge_model" in row and ("verdict" in row or "verdict_position" in row):
        return "verdicts"
    return None


def detect(rows: Iterable[dict[str, Any]]) -> str | None:
    """The commonest shape among the first rows of a file, None where no row has a known one."""
    votes = Counter(shape for row in rows if (shape := shape_of(row)))
    return votes.most_common(1)[0][0] if votes else None


def parse(shape: str, row: dict[str, Any]) -> Parsed:
    """One row. Never raises for anything a JSON object can hold; `shape` is one of SHAPES."""
    faults: list[Fault] = []
    try:
        found = PARSERS[shape](row, faults)
    except Broken as broken:
        return Parsed(None, [broken.fault, *faults], shown(row["id"]) if "id" in row else "")
    return Parsed(found, faults, found.external_id if isinstance(found, PairRow) else found.pair_id)


def concord_row(row: dict[str, Any], faults: list[Fault]) -> PairRow:
    for name in ("prompt", "response_a", "response_b"):
        if row.get(name) is None:
            raise Broken("field_missing", f"The row has no {name}.", name, ", ".join(list(row)[:20]))
    prompt = prompt_of(row["prompt"])
    a, b = (response_of(row[name], name) for name in ("response_a", "response_b"))
    identical = side_faults(row, prompt, [a, b], ("response_a", "response_b"), faults)
    found = opinions.labels(row.get("labels"), faults)
    if gold := opinions.gold(row.get("gold"), identical, faults):
        found.append(gold)
    return PairRow(identifier(row.get("id"), "id", missing=""), prompt, a, b, concord_metadata(row, faults), found)


CONCORD_FIELDS = frozenset({"id", "prompt", "response_a", "response_b", "labels", "gold", "meta"})


def concord_metadata(row: dict[str, Any], faults: list[Fault]) -> dict[str, Any]:
    """`meta` and every further field of the row, side by side; the row's own fields win over those of `meta`."""
    meta = row.get("meta")
    if meta is not None and not isinstance(meta, dict):
        faults.append(
            Fault("metadata_malformed", f"meta is {kind_of(meta)}, not an object; it was left out.", "meta", shown(meta))
        )
        meta = None
    own = {key: value for key, value in row.items() if key not in CONCORD_FIELDS and value is not None}
    return bounded({**(meta or {}), **own}, "metadata_too_large", "meta", faults)


def verdict_row(row: dict[str, Any], faults: list[Fault]) -> VerdictRow:
    return VerdictRow(identifier(row.get("pair_id"), "pair_id"), opinions.verdict(row, faults))


def preference_row(row: dict[str, Any], faults: list[Fault]) -> PairRow:
    prompt, chosen, rejected = preference.conversation(row)
    side_faults(row, prompt, [chosen, rejected], ("chosen", "rejected"), faults)
    swapped = preference.canonically_swapped(chosen, rejected)
    label = preference.stored_label(row, 1 if swapped else -1, faults)
    sides = (rejected, chosen) if swapped else (chosen, rejected)
    name = preference.row_id(row, prompt, chosen, rejected)
    return PairRow(name, prompt, *sides, preference.metadata(row, faults), [label])


PARSERS: dict[str, Callable[[dict[str, Any], list[Fault]], PairRow | VerdictRow]] = {
    "concord": concord_row,
    "verdicts": verdict_row,
    "preference": preference_row,
}
