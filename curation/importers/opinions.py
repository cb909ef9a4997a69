"""Labels, gold and verdicts as opinions with a judge, a signed strength and everything else the source gave. Pure."""

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from curation.importers.faults import Broken, Fault, shown
from curation.importers.fields import bounded, identifier
from curation.importers.reading import kind_of

GOLD = "gold"
MAX_LABELS = 1_000
SIGNS = {"a": -1, "b": 1, "tie": 0, "both_bad": 0}
MAX_STRENGTH = 3
RATING_THIRDS = (33, 66)  # of differences on a scale of 1 to 100


@dataclass(slots=True)
class Opinion:
    """One judgment to be. strength as in models.Judgment: -3..3, negative where response_a is better, None for no verdict.

    source_id: what tells this row of a verdicts file from another one of the same judge, pair and order; "" of labels,
    which `occasion` tells apart.
    """

    kind: str  # a value of models.JudgeKind
    name: str
    strength: int | None
    method: str = ""
    tie_kind: str = ""
    rationale: str = ""
    order: str = ""
    occasion: int = 0
    raw: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    source_id: str = ""

    @property
    def judge_key(self) -> tuple[str, str, str]:
        return (self.kind, self.name, self.method)


def graded(value: float, *, rated: bool) -> int:
    """A strength of any sign on the scale 1..3.

    Up to 3 it is taken as it is, rounded to 1, 2 or 3. Beyond, or where the label gives both ratings (`rated`), it is a
    difference of ratings on a scale of 100, cut in thirds: up to 33 is 1, up to 66 is 2, more is 3.
    """
    size = abs(value)
    if rated or size > MAX_STRENGTH:
        return 1 if size <= RATING_THIRDS[0] else 2 if size <= RATING_THIRDS[1] else 3
    return min(max(math.floor(size + 0.5), 1), MAX_STRENGTH)


def labels(values: Any, faults: list[Fault]) -> list[Opinion]:
    """One opinion per readable entry. A second entry of the same annotator is a further occasion."""
    if values is None:
        return []
    if not isinstance(values, list):
        faults.append(
            Fault("labels_malformed", f"labels is {kind_of(values)}, not a list; it was left out.", "labels", shown(values))
        )
        return []
    if len(values) > MAX_LABELS:
        reason = f"There are {len(values)} labels; those after the first {MAX_LABELS} were left out."
        faults.append(Fault("labels_malformed", reason, "labels"))
    found, occasions = [], Counter[str]()
    for number, value in enumerate(values[:MAX_LABELS]):
        try:
            opinion = label(value, f"labels[{number}]", faults)
        except Broken as broken:
            faults.append(broken.fault)
            continue
        opinion.occasion = occasions[opinion.name]
        occasions[opinion.name] += 1
        found.append(opinion)
    return found


LABEL_FIELDS = frozenset({"annotator", "preference", "rationale"})


def label(value: Any, field: str, faults: list[Fault]) -> Opinion:
    if not isinstance(value, dict):
        raise Broken("label_malformed", f"A label is an object, not {kind_of(value)}; it was left out.", field, value)
    annotator = value.get("annotator")
    try:
        name = identifier(annotator, f"{field}.annotator")
    except Broken as broken:
        raise Broken(
            "label_malformed", f"{broken.fault.reason} The label was left out.", f"{field}.annotator", annotator
        ) from None
    preference = value.get("preference")
    if not isinstance(preference, str) or preference not in (*SIGNS, "cannot_judge"):
        reason = "The preference is none of a, b, tie, both_bad, cannot_judge; the label was left out."
        raise Broken("label_preference_unknown", reason, f"{field}.preference", preference)
    rationale = value.get("rationale")
    extra = {key: entry for key, entry in value.items() if key not in LABEL_FIELDS}
    if rationale is not None and not isinstance(rationale, str):
        extra["rationale"], rationale = rationale, ""
    strength, tie_kind = preferred(preference, value, field, faults)
    detail = bounded(extra, "detail_too_large", field, faults)
    return Opinion("human", name, strength, tie_kind=tie_kind, rationale=rationale or "", detail=detail)


def preferred(preference: str, value: dict[str, Any], field: str, faults: list[Fault]) -> tuple[int | None, str]:
    """(signed strength, tie kind) of a label. The stated preference stands where its strength says otherwise."""
    given = number(value.get("strength"), f"{field}.strength", faults)
    if preference == "cannot_judge":
        return None, "cannot_judge"
    sign = SIGNS[preference]
    if given is not None and contradicts(sign, given):
        reason = f"The preference is {preference} but the strength {given:g}; the preference stands."
        faults.append(Fault("label_contradicts_strength", reason, f"{field}.strength", shown(given)))
        given = None
    if sign == 0:
        return 0, preference
    rated = value.get("rating_a") is not None and value.get("rating_b") is not None
    return sign * (1 if given is None else graded(given, rated=rated)), ""


def contradicts(sign: int, strength: float) -> bool:
    """Whether a strength speaks against a side. It may be a size (always above 0) or signed (below 0 for response_a)."""
    return (sign == 0) != (strength == 0) or (strength < 0 and sign > 0)


def number(value: Any, field: str, faults: list[Fault]) -> float | None:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15:
        return float(value)
    faults.append(
        Fault("strength_malformed", f"{field.rpartition('.')[2]} is no usable number; it was left out.", field, shown(value))
    )
    return None


def gold(value: Any, identical: bool, faults: list[Fault]) -> Opinion | None:
    if value is None:
        return None
    if not isinstance(value, str) or value not in SIGNS:
        faults.append(Fault("gold_unknown", "gold is none of a, b, tie; it was left out.", "gold", shown(value)))
        return None
    if identical:
        faults.append(Fault("gold_on_identical", f"gold is {value}, but both responses are the same text.", "gold", value))
    return Opinion("imported", GOLD, SIGNS[value], tie_kind="" if SIGNS[value] else value)


VERDICT_FIELDS = frozenset({"pair_id", "judge_model", "method", "order", "raw", "sample"})
POSITIONS = {("first", "ab"): "a", ("second", "ab"): "b", ("first", "ba"): "b", ("second", "ba"): "a"}


def verdict(row: dict[str, Any], faults: list[Fault]) -> Opinion:
    """The judgment of one row of a verdicts file; verdict null: the answer was unreadable. Raises Broken."""
    name, method = identifier(row.get("judge_model"), "judge_model"), identifier(row.get("method"), "method", missing="")
    order = row.get("order") or ""
    if not isinstance(order, str) or order not in ("", "ab", "ba"):
        raise Broken("verdict_malformed", "order is neither ab nor ba.", "order", order)
    raw = row.get("raw")
    if raw is not None and not isinstance(raw, str):
        raise Broken("verdict_malformed", f"raw is {kind_of(raw)}, not a text.", "raw", raw)
    side = verdict_side(row, order, faults)
    detail = {key: value for key, value in row.items() if key not in VERDICT_FIELDS and (key != "id" or value is not None)}
    detail = bounded(detail, "detail_too_large", "", faults)
    strength = None if side is None else SIGNS[side]
    tie_kind = "unreadable" if side is None else "" if SIGNS[side] else side
    return Opinion(
        "llm_judge", name, strength, method=method, tie_kind=tie_kind, order=order, raw=raw or "", detail=detail,
        source_id=identifier(row.get("id"), "id", missing=""),
    )  # fmt: skip


def verdict_side(row: dict[str, Any], order: str, faults: list[Fault]) -> str | None:
    """The side of a verdict, already mapped back to the pair; by its position where only that is given."""
    stated, position = row.get("verdict"), row.get("verdict_position")
    for name, value, known in (
        ("verdict", stated, ("a", "b", "tie", "both_bad")),
        ("verdict_position", position, ("first", "second", "tie")),
    ):
        if value is not None and (not isinstance(value, str) or value not in known):
            raise Broken("verdict_malformed", f"{name} is none of {', '.join(known)} and null.", name, value)
    placed = "tie" if position == "tie" else POSITIONS.get((str(position), order))
    if "verdict" not in row:
        return placed
    if placed is not None and stated is not None and placed != stated:
        reason = f"verdict is {stated}, but position {position} in order {order} is {placed}; the verdict stands."
        faults.append(Fault("verdict_contradicts_position", reason, "verdict", stated))
    return stated
