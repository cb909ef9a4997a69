"""Conversations as plain text, where a model or a page wants text. Pure."""

from collections.abc import Sequence

from models_runtime.types import BackendError, Conversation, Message


def conversation_text(messages: Sequence[Message]) -> str:
    """One user message as it is; anything longer as blocks headed by their role.

    >>> conversation_text([Message("user", "Hello")])
    'Hello'
    >>> conversation_text([Message("system", "Be brief."), Message("user", "Hello")])
    'system:\\nBe brief.\\n\\nuser:\\nHello'
    """
    if len(messages) == 1 and messages[0].role == "user":
        return messages[0].content
    return "\n\n".join(f"{message.role}:\n{message.content}" for message in messages)


def prompt_and_reply(conversation: Conversation) -> tuple[str, str]:
    """The text before the last message, and the last message. Raises BackendError where there is no reply.

    >>> prompt_and_reply((Message("user", "Hi"), Message("assistant", "Hello.")))
    ('Hi', 'Hello.')
    """
    if len(conversation) < 2:
        raise BackendError("the conversation has no reply to score", permanent=True)
    return conversation_text(conversation[:-1]), conversation[-1].content
