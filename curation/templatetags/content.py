"""Template tags for texts of a dataset: `{{ text|markdown }}`, `{{ messages|text_of }}`, `{% conversation messages %}`."""

from collections.abc import Mapping, Sequence
from typing import Any

from django import template
from django.utils.safestring import SafeString

from curation import rendering

register = template.Library()

SHORT_CHARS = 300  # earlier turns up to this length are open from the start

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
def question(messages: Sequence[Mapping[str, Any]]) -> str:
    """The text of the last user turn: what a list shows of a prompt."""
    asked = [message for message in messages if message.get("role") == "user"] or list(messages)
    return rendering.content_text(asked[-1].get("content")) if asked else ""


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
    return {
        "system": system,
        "earlier": earlier,
        "short": sum(len(turn["text"]) for turn in earlier) < SHORT_CHARS,
        "last": turns[last] if turns else None,
        "later": turns[last + 1 :],
    }
