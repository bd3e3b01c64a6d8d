"""OpenAI's two shapes of log probabilities: a chat's and a bare completion's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ...chat import TokenLogprob, TokenSampled

MAX_TOKENS_HELD = 64
"""Log probabilities that wait for the next chunk of text; if none comes they are sent without."""

LEAST = -9999.0
"""OpenAI's figure for a token that is too unlikely to have one; JSON has no infinity."""


def chat_logprobs(tokens: Sequence[TokenSampled]) -> dict[str, Any] | None:
    """The `logprobs` of a choice: one entry a token, its bytes with it; None for no tokens."""
    if not tokens:
        return None
    content = [_entry(event.sampled) | {"top_logprobs": [_entry(other) for other in event.top]} for event in tokens]
    return {"content": content, "refusal": None}


def _entry(one: TokenLogprob) -> dict[str, Any]:
    return {"token": one.token, "logprob": _finite(one.logprob), "bytes": list(one.bytes)}


def _finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else LEAST


class TextLogprobs:
    """The `logprobs` of a bare completion's choice: lists of equal length.

    ``top_logprobs`` names the likeliest tokens and, as in OpenAI's API, the sampled one, if it is not among
    them. ``text_offset`` counts characters from the beginning of the answer, as the tokens are spelled.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._tokens: list[TokenSampled] = []

    @property
    def held(self) -> int:
        """How many tokens wait to be sent."""
        return len(self._tokens)

    def add(self, event: TokenSampled) -> None:
        """Append a token. Mutates this."""
        self._tokens.append(event)

    def taken(self) -> dict[str, Any] | None:
        """The tokens since the last call, or None. Mutates this."""
        tokens, self._tokens = self._tokens, []
        if not tokens:
            return None
        offsets = []
        for event in tokens:
            offsets.append(self._offset)
            self._offset += len(event.sampled.token)
        return {
            "tokens": [event.sampled.token for event in tokens],
            "token_logprobs": [_finite(event.sampled.logprob) for event in tokens],
            "top_logprobs": [_by_spelling(event) for event in tokens],
            "text_offset": offsets,
        }


def _by_spelling(event: TokenSampled) -> dict[str, float]:
    """The likeliest tokens, then the sampled one. Of tokens with equal spelling the likeliest counts."""
    logprobs: dict[str, float] = {}
    for one in (*event.top, event.sampled):
        logprobs.setdefault(one.token, _finite(one.logprob))
    return logprobs
