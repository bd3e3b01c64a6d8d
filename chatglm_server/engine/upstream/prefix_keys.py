"""Tells requests apart by what they begin with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from .body import Json

SHORTEST = 256
"""Characters or tokens of the shortest beginning of a bare prompt that counts: fewer are soon read again."""


def prefix_keys(body: Json) -> list[bytes]:
    """Returns a key of 16 bytes for each beginning of a request, the shortest first; equal beginnings have equal keys.

    A conversation has one key for all of its turns, a digest of the model, the tools, and the messages up to the user's
    first. A bare prompt has one for its first 256 characters or tokens, one for its first 512, and so on. So a long one
    has few keys too, and the longest that two prompts share covers at least half of what they have in common.
    """
    messages, prompt = body.get("messages"), body.get("prompt")
    if isinstance(messages, list):
        users = (number for number, message in enumerate(messages) if message.get("role") == "user")
        return [_digest([body.get("model"), body.get("tools"), messages[: next(users, len(messages)) + 1]])]
    return _prompt_keys(body.get("model"), prompt) if isinstance(prompt, str | list) else []


def _prompt_keys(model: object, prompt: str | Sequence[int]) -> list[bytes]:
    keys = []
    digest, start, end = _digest(model), 0, SHORTEST
    while end <= len(prompt):
        digest = _digest([digest.hex(), prompt[start:end]])
        keys.append(digest)
        start, end = end, 2 * end
    return keys


def _digest(value: object) -> bytes:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).digest()
