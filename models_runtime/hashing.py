"""One way to hash content, used for prompts, responses, model specs and releases alike."""

import hashlib
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The same bytes for the same value: sorted keys, no spaces, UTF-8 unescaped. Raises ValueError on NaN and infinities."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def content_hash(value: Any) -> bytes:
    """SHA-256 of the canonical JSON, 32 bytes."""
    return hashlib.sha256(canonical_json(value)).digest()


def key_of(value: Any) -> str:
    """SHA-256 of the canonical JSON as 64 hex digits: what a stored result is kept under."""
    return content_hash(value).hex()
