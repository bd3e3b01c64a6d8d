"""Tells conversations apart by what they begin with."""

from __future__ import annotations

import hashlib
import json

from .body import Json


def conversation_key(body: Json) -> bytes | None:
    """Returns the same 16 bytes for all turns of a conversation; None for a body without messages.

    They are a digest of the model, the tools, and the messages up to the user's first. Conversations that begin alike
    have one key, and the prefix of a prompt in common.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        return None
    first = next((number for number, message in enumerate(messages) if message.get("role") == "user"), len(messages))
    beginning = [body.get("model"), body.get("tools"), messages[: first + 1]]
    return hashlib.blake2b(json.dumps(beginning).encode(), digest_size=16).digest()
