"""Conversations out of whatever a file holds in the place of one: a text or a list of messages. Pure."""

import json
from typing import Any

from curation.importers.faults import Broken
from curation.importers.reading import kind_of

Messages = list[dict[str, Any]]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
KEPT = ("role", "content", "name", "tool_calls", "tool_call_id")
MAX_MESSAGES = 2_000


def prompt_of(value: Any, field: str = "prompt") -> Messages:
    """A text becomes one user message. Raises Broken."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if isinstance(value, list):
        return messages_of(value, field, "prompt_malformed")
    raise Broken("prompt_malformed", f"A prompt is a text or a list of messages, not {kind_of(value)}.", field, value)


def response_of(value: Any, field: str) -> Messages:
    """A text becomes one assistant message; so does the JSON text of a number, true or false. Raises Broken."""
    if isinstance(value, str):
        return [{"role": "assistant", "content": value}]
    if isinstance(value, bool | int | float):
        return [{"role": "assistant", "content": json.dumps(value)}]
    if isinstance(value, list):
        return messages_of(value, field, "response_malformed")
    raise Broken("response_malformed", f"A response is a text or a list of messages, not {kind_of(value)}.", field, value)


def messages_of(values: list[Any], field: str, code: str) -> Messages:
    if not values:
        raise Broken(code, "The list of messages is empty.", field)
    if len(values) > MAX_MESSAGES:
        raise Broken(code, f"There are {len(values)} messages; {MAX_MESSAGES} is the limit.", field)
    return [message_of(value, f"{field}[{number}]", code) for number, value in enumerate(values)]


def message_of(value: Any, field: str, code: str) -> dict[str, Any]:
    if not isinstance(value, dict) or "role" not in value:
        raise Broken(code, "A message is an object with role and content.", field, value)
    role, content = value["role"], value.get("content")
    if not isinstance(role, str) or role not in ROLES:
        raise Broken(
            code, f"The role {brief_role(role)} is not known; it is one of {', '.join(sorted(ROLES))}.", f"{field}.role", role
        )
    if content is None and not value.get("tool_calls"):
        raise Broken(code, "The message has no content.", f"{field}.content", value)
    if isinstance(content, list):
        for number, part in enumerate(content):
            check_part(part, f"{field}.content[{number}]", code)
    elif content is not None and not isinstance(content, str):
        raise Broken(code, f"The content is {kind_of(content)}, not a text or a list of parts.", f"{field}.content", content)
    # Parquet gives every message every key; null ones say nothing.
    return {key: value[key] for key in KEPT if value.get(key) is not None}


def brief_role(role: Any) -> str:
    return repr(role[:40]) if isinstance(role, str) else kind_of(role)


def check_part(part: Any, field: str, code: str) -> None:
    if not isinstance(part, dict) or not isinstance(part.get("type"), str):
        raise Broken(
            code, 'A part of a message is an object with a "type", such as {"type": "text", "text": "..."}.', field, part
        )
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        raise Broken(code, "A text part has no text.", field, part)


def text_of(messages: Messages) -> str:
    """All text of the messages, one after the other."""
    texts = []
    for message in messages:
        content = message.get("content") or ""
        if isinstance(content, list):
            content = "\n".join(part["text"] for part in content if part["type"] == "text")
        texts.append(content)
    return "\n\n".join(texts)


def is_empty(messages: Messages) -> bool:
    """No text but white space, no image, no tool call."""
    if text_of(messages).strip():
        return False
    return not any(
        message.get("tool_calls")
        or (isinstance(message.get("content"), list) and any(part["type"] != "text" for part in message["content"]))
        for message in messages
    )
