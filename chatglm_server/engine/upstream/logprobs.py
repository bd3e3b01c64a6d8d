"""Reads a backend's log probabilities, in the shape of OpenAI's chats or of its bare completions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ...chat import TokenLogprob, TokenSampled

MAX_TOP = 128
"""Likeliest tokens that are read for one token."""


def read_logprobs(logprobs: object) -> list[TokenSampled]:
    """Returns the tokens of a choice's `logprobs` object; entries that make no sense are left out."""
    if not isinstance(logprobs, dict):
        return []
    if isinstance(logprobs.get("tokens"), list):
        return list(_completion_tokens(logprobs))
    entries = [entry for name in ("content", "refusal") for entry in _items(logprobs.get(name))]
    return [token for token in map(_chat_token, entries) if token is not None]


def _chat_token(entry: object) -> TokenSampled | None:
    sampled = _token_logprob(entry)
    if sampled is None or not isinstance(entry, dict):
        return None
    top = (_token_logprob(other) for other in _items(entry.get("top_logprobs"))[:MAX_TOP])
    return TokenSampled(sampled, tuple(one for one in top if one is not None))


def _token_logprob(entry: object) -> TokenLogprob | None:
    if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
        return None
    return TokenLogprob(entry["token"], _bytes(entry), _number(entry.get("logprob")))


def _bytes(entry: Mapping[str, Any]) -> bytes:
    """The token's bytes, or those of its spelling: many servers leave `bytes` out."""
    given = entry.get("bytes")
    if isinstance(given, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in given):
        return bytes(given)
    return str(entry["token"]).encode()


def _completion_tokens(logprobs: Mapping[str, Any]) -> Iterator[TokenSampled]:
    """The lists `tokens`, `token_logprobs` and `top_logprobs` run in parallel."""
    figures, tops = _items(logprobs.get("token_logprobs")), _items(logprobs.get("top_logprobs"))
    for place, token in enumerate(logprobs["tokens"]):
        if not isinstance(token, str):
            continue
        top = tops[place] if place < len(tops) and isinstance(tops[place], dict) else {}
        likeliest = tuple(_spelled(*item) for item in list(top.items())[:MAX_TOP])
        yield TokenSampled(_spelled(token, figures[place] if place < len(figures) else None), likeliest)


def _spelled(token: str, logprob: object) -> TokenLogprob:
    return TokenLogprob(token, token.encode(), _number(logprob))


def _number(value: object) -> float:
    """Returns NaN without a figure: OpenAI gives null for the first token of an echoed prompt."""
    try:
        return float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return math.nan


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
