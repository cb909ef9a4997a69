"""Template tags for texts of a dataset: `{{ text|markdown }}`, `{{ messages|text_of }}`, `{% conversation messages %}`."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.utils.safestring import SafeString

from curation import rendering

register = template.Library()

ROLE_NAMES = {
    "system": "System",
    "developer": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
    "function": "Tool",
}


@register.filter
def markdown(text: object) -> SafeString:
    """Safe HTML of a text in markdown; put it in an element with class "text" and dir="auto"."""
    return rendering.render_markdown("" if text is None else str(text))


@register.filter
def plain_text(text: object) -> SafeString:
    """The text as it is, escaped, line breaks kept."""
    return rendering.plain("" if text is None else str(text))


@register.filter
def text_of(messages: Sequence[Mapping[str, Any]]) -> str:
    return rendering.text_of(messages)


@register.filter
def role_name(role: object) -> str:
    return ROLE_NAMES.get(str(role), str(role)[:40].capitalize())


@register.inclusion_tag("curation/conversation.html")
def conversation(messages: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """The turns of a prompt, earlier ones folded away, the last user turn emphasised."""
    turns = [{"role": str(m.get("role", "")), "text": rendering.content_text(m.get("content"))} for m in messages]
    last = max((number for number, turn in enumerate(turns) if turn["role"] == "user"), default=len(turns) - 1)
    system = [turn for turn in turns[:last] if turn["role"] in ("system", "developer")]
    earlier = [turn for turn in turns[:last] if turn not in system]
    return {"system": system, "earlier": earlier, "last": turns[last] if turns else None, "later": turns[last + 1 :]}
