"""Everything that can be wrong with a row, by name. Pure. docs/import.md lists the same names (a test holds the two together)."""

import json
from dataclasses import dataclass
from typing import Any, Literal

# row: the row was skipped. part: the row went in without this part. note: the row went in whole. file: reading stopped here.
Effect = Literal["file", "row", "part", "note"]
EXCERPT_CHARS = 200

CODES: dict[str, Effect] = {
    # The file
    "file_unreadable": "file",
    "file_empty": "file",
    "file_cut_short": "file",
    "gzip_broken": "file",
    "parquet_broken": "file",
    "not_json_lines": "file",
    "line_endless": "file",
    "shape_unknown": "file",
    # The line
    "line_too_long": "row",
    "bad_utf8": "row",
    "invalid_json": "row",
    "not_an_object": "row",
    "not_a_number": "row",
    "number_too_large": "row",
    "nul_character": "row",
    "lone_surrogate": "row",
    "duplicate_key": "row",
    "too_deep": "row",
    "value_not_text": "row",
    # The row
    "field_missing": "row",
    "id_malformed": "row",
    "prompt_malformed": "row",
    "prompt_empty": "note",
    "no_shared_prompt": "row",
    "response_malformed": "row",
    "response_not_text": "note",
    "response_literal": "note",
    "response_empty": "note",
    "responses_identical": "note",
    "metadata_malformed": "part",
    "metadata_too_large": "part",
    # Labels, gold, verdicts
    "labels_malformed": "part",
    "label_malformed": "part",
    "label_preference_unknown": "part",
    "label_contradicts_strength": "note",
    "strength_malformed": "part",
    "margin_contradicts_label": "note",
    "gold_unknown": "part",
    "gold_on_identical": "note",
    "verdict_malformed": "row",
    "verdict_contradicts_position": "note",
    "detail_too_large": "part",
    # Against what is stored
    "pair_unknown": "row",
    "row_changed": "row",
    "row_repeated": "note",
    "label_changed": "part",
    "verdict_changed": "row",
    "row_refused": "row",
    "issues_cut": "note",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing found: `code` is a name in CODES, `field` a path such as "labels[2].preference", `excerpt` what stood there."""

    code: str
    reason: str
    field: str = ""
    excerpt: str = ""

    @property
    def effect(self) -> Effect:
        return CODES[self.code]

    @property
    def fatal(self) -> bool:
        """The row, or the rest of the file, did not go in."""
        return CODES[self.code] in ("row", "file")


class Broken(Exception):
    """Carries the fault that makes a row, or a part of it, unusable."""

    def __init__(self, code: str, reason: str, field: str = "", value: Any = "") -> None:
        super().__init__(reason)
        self.fault = Fault(code, storable(reason), storable(field)[:100], shown(value))


def storable(text: str) -> str:
    """The text with what PostgreSQL cannot hold (NUL, lone surrogates) made visible."""
    return text.replace("\x00", "\u2400").encode("utf-8", "backslashreplace").decode("utf-8")


def shown(value: Any) -> str:
    """The beginning of a value as a reader would recognise it."""
    if isinstance(value, bytes):
        text = value[: EXCERPT_CHARS * 4].decode("utf-8", "replace")
    elif isinstance(value, str):
        text = value[: EXCERPT_CHARS + 1]
    else:
        text = brief(value)
    return storable(text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…")[:300]


def brief(value: Any) -> str:
    """JSON of a value, of a container its first entries only: excerpts of huge rows must stay cheap."""
    if isinstance(value, dict):
        value = {
            key: entry if isinstance(entry, int | float | bool | None) else str(type(entry).__name__)
            for key, entry in list(value.items())[:8]
        }
    elif isinstance(value, list):
        value = f"a list of {len(value)}"
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return str(type(value).__name__)
