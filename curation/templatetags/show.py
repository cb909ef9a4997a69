"""Figures in words and small drawings, for templates."""

import json
from collections.abc import Mapping
from typing import Any

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

NOT_MEASURED = "–"
MOST_JSON_CHARS = 20_000
KIND_WORDS = {
    "human": "person",
    "reward_model": "reward",
    "llm_judge": "LLM",
    "likelihood": "likelihood",
    "rule": "rule",
    "imported": "imported",
}
NAMES = {"dawid_skene": "Dawid-Skene"}
DEGREES = {1: "slightly better", 2: "better", 3: "much better"}
NO_SIDE = {
    "tie": "equally good",
    "both_bad": "both bad",
    "cannot_judge": "cannot judge",
    "unreadable": "answer could not be read",
}


@register.filter
def percent(value: float | None) -> str:
    """0.8254 -> "82.5 %"; None -> a dash."""
    return NOT_MEASURED if value is None else f"{100 * value:.1f} %"


@register.filter
def figure(value: Any, digits: int = 3) -> str:
    """A number with at most `digits` decimals and no trailing zeros; anything else as it is."""
    if value is None:
        return NOT_MEASURED
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.{digits}f}".rstrip("0").rstrip(".") if abs(value) >= 10**-digits else f"{value:.1e}"


@register.filter
def verdict(judgment: Any) -> str:
    """A judgment's verdict in words: "A much better", "equally good", "cannot judge"."""
    if judgment.retracted:
        return "taken back"
    return NO_SIDE.get(judgment.tie_kind) or side(judgment.strength)


@register.filter
def side(strength: float | None) -> str:
    """A signed label in words: -2 -> "A better"."""
    if strength is None:
        return "no label"
    if strength == 0:
        return "equally good"
    return f"{'A' if strength < 0 else 'B'} {DEGREES[max(1, min(3, round(abs(strength))))]}"


@register.filter
def side_class(strength: float | None) -> str:
    """The chip's class for a signed label."""
    return "" if not strength else "chip-a" if strength < 0 else "chip-b"


@register.filter
def time_left(seconds: float | None) -> str:
    """An estimate that does not pretend to be exact: "about 2 min"."""
    if seconds is None:
        return ""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {max(10, round(seconds / 10) * 10):.0f} s"
    if seconds < 90 * 60:
        return f"about {seconds / 60:.0f} min"
    return f"about {seconds / 3600:.0f} h"


@register.filter
def took(seconds: float | None) -> str:
    """A duration: "0.4 s", "2 min 5 s", "3 h 10 min"."""
    if seconds is None:
        return NOT_MEASURED
    if seconds < 0.05:
        return "under 0.1 s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


@register.filter
def plain(name: str) -> str:
    """A stable name as words: "to_human" -> "to human"; names of methods as their authors write them."""
    return NAMES.get(str(name)) or str(name).replace("_", " ")


@register.filter
def at(mapping: Mapping[Any, Any], key: Any) -> Any:
    """The mapping's value for this key, None where it has none."""
    return mapping.get(key)


@register.simple_tag
def bar(value: float | None, css: str = "accent", height: int = 10) -> SafeString:
    """A filled share of a line; drawn with attributes, because the page allows no inline style."""
    width = f"{100 * min(1.0, max(0.0, value or 0.0)):.2f}%"
    return format_html(
        '<svg class="bar" height="{}" width="100%" aria-hidden="true"><rect width="{}" height="100%" class="fill-{}"/></svg>',
        height,
        width,
        css,
    )


@register.simple_tag
def votes_bar(probability_a: float, probability_tie: float, probability_b: float) -> SafeString:
    """A, tie and B side by side in their colours; the figures are in its label."""
    label = f"A {percent(probability_a)}, tie {percent(probability_tie)}, B {percent(probability_b)}"
    first, second = f"{100 * probability_a:.2f}%", f"{100 * probability_tie:.2f}%"
    third = f"{100 * probability_b:.2f}%"
    start_b = f"{100 * (probability_a + probability_tie):.2f}%"
    return format_html(
        '<svg class="bar" height="10" width="100%" role="img" aria-label="{}"><title>{}</title>'
        '<rect width="{}" height="100%" class="fill-a"/>'
        '<rect x="{}" width="{}" height="100%" class="fill-tie"/><rect x="{}" width="{}" height="100%" class="fill-b"/></svg>',
        label, label, first, first, second, start_b, third,
    )  # fmt: skip


@register.simple_tag
def query(params: QueryDict, **changes: object) -> str:
    """The query string with these values set; None and "" leave a name out. Starts with "?"."""
    changed = params.copy()
    for name, value in changes.items():
        changed.pop(name, None)
        if value not in (None, ""):
            changed[name] = str(value)
    return f"?{changed.urlencode()}"


@register.filter
def side_letter(strength: float | None) -> str:
    """-1 -> "A", 0 -> "tie", 1 -> "B"."""
    return "none" if strength is None else "tie" if strength == 0 else "A" if strength < 0 else "B"


@register.filter
def upper_side(verdict: str) -> str:
    """A verdict as pages write it: a -> A, tie -> tie."""
    return verdict.upper() if len(verdict) == 1 else verdict


@register.filter
def kind_short(kind: str) -> str:
    """A judge's kind in one short word, for chips."""
    return KIND_WORDS.get(kind, kind)


@register.filter
def as_json(value: Any) -> str:
    """Readable JSON, cut where it gets long; the template escapes it."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)[:MOST_JSON_CHARS]


@register.filter
def is_nested(value: Any) -> bool:
    """Whether a reported figure is a table of its own."""
    return isinstance(value, (dict, list))


@register.filter
def kind_words(kind: str) -> str:
    """A judge's kind as a table's cell writes it."""
    return {"llm_judge": "LLM judge", "reward_model": "reward model", "human": "person"}.get(kind, kind)


@register.filter
def alpha_words(alpha: float) -> str:
    """How Krippendorff (2004) reads alpha: from 0.8 firm, from 0.667 tentative."""
    if alpha >= 0.8:
        return "reliable"
    if alpha >= 0.667:
        return "good for tentative conclusions"
    return "too low to rely on" if alpha > 0 else "no better than chance"
