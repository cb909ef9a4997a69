"""Checks that the shapes share: names, sizes, and the two sides of a pair. Pure."""

from typing import Any

from curation.importers.faults import Broken, Fault, shown
from curation.importers.messages import Messages, is_empty, text_of
from curation.importers.reading import kind_of
from models_runtime.hashing import canonical_json

MAX_ID_CHARS = 200
MAX_EXTRA_BYTES = 64 * 1024  # of metadata, and of the detail of one judgment
LITERALS = frozenset({"true", "false", "null", "none", "nan"})


def identifier(value: Any, field: str, *, missing: str | None = None) -> str:
    """A name as text; a whole number counts as one. `missing` stands for an absent one, where that is allowed. Raises Broken."""
    if value is None and missing is not None:
        return missing
    if value is None:
        raise Broken("field_missing", f"The row has no {field}.", field)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise Broken("id_malformed", f"{field} is {kind_of(value)}, not a text.", field, value)
    if not value.strip() or len(value) > MAX_ID_CHARS:
        raise Broken("id_malformed", f"{field} has {len(value)} characters; 1 to {MAX_ID_CHARS} are allowed.", field, value)
    return value


def bounded(values: dict[str, Any], code: str, field: str, faults: list[Fault]) -> dict[str, Any]:
    """The values, without the largest ones where all together are too large."""
    if not values or len(canonical_json(values)) <= MAX_EXTRA_BYTES:
        return values
    sizes = {key: len(canonical_json({key: value})) for key, value in values.items()}
    left_out = []
    for key in sorted(sizes, key=lambda key: -sizes[key]):
        if sum(sizes.values()) <= MAX_EXTRA_BYTES:
            break
        left_out.append(key)
        del sizes[key]
    names = ", ".join(key[:60] for key in left_out[:5])
    reason = f"More than {MAX_EXTRA_BYTES // 1024} KB of further fields; left out: {names}."
    faults.append(Fault(code, reason, field, shown(left_out[0])))
    return {key: value for key, value in values.items() if key in sizes}


def side_faults(
    row: dict[str, Any], prompt: Messages, sides: list[Messages], fields: tuple[str, str], faults: list[Fault]
) -> bool:
    """What is odd about the pair, though it goes in. Returns whether the two responses are the same."""
    if is_empty(prompt):
        faults.append(Fault("prompt_empty", "The prompt is empty.", "prompt"))
    for messages, name in zip(sides, fields, strict=True):
        faults.extend(response_faults(row[name], messages, name))
    identical = sides[0] == sides[1]
    if identical:
        faults.append(Fault("responses_identical", "Both responses are the same text.", fields[1], shown(text_of(sides[1]))))
    return identical


def response_faults(value: Any, messages: Messages, name: str) -> list[Fault]:
    if isinstance(value, bool | int | float):
        reason = f"The response is the JSON value {messages[0]['content']}, not a text; it was stored as that text."
        return [Fault("response_not_text", reason, name, shown(value))]
    if is_empty(messages):
        return [Fault("response_empty", "The response is empty.", name, shown(value))]
    text = text_of(messages).strip()
    if text.lower() in LITERALS:
        reason = (
            f"The whole response is {text!r}, as a JSON value that became text would read (the JSON value true as a response)."
        )
        return [Fault("response_literal", reason, name, shown(text))]
    return []
