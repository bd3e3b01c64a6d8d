"""OpenAI's two shapes of log probabilities: a chat's and a bare completion's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..chat import Likelihood, TokenDrawn


def chat_logprobs(tokens: Sequence[TokenDrawn]) -> dict[str, Any] | None:
    """The `logprobs` of a choice: one entry a token, its bytes with it; None for no tokens."""
    if not tokens:
        return None
    content = [_entry(event.drawn) | {"top_logprobs": [_entry(other) for other in event.top]} for event in tokens]
    return {"content": content, "refusal": None}


def _entry(one: Likelihood) -> dict[str, Any]:
    return {"token": one.token, "logprob": one.logprob, "bytes": list(one.bytes)}


class TextLogprobs:
    """The `logprobs` of a bare completion's choice: lists of equal length.

    ``text_offset`` counts characters from the beginning of the answer, as the tokens are spelled.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._tokens: list[TokenDrawn] = []

    def add(self, event: TokenDrawn) -> None:
        """One more token. Mutates this."""
        self._tokens.append(event)

    def taken(self) -> dict[str, Any] | None:
        """The tokens that were not taken before; None for none. Mutates this."""
        tokens, self._tokens = self._tokens, []
        if not tokens:
            return None
        offsets = []
        for event in tokens:
            offsets.append(self._offset)
            self._offset += len(event.drawn.token)
        return {
            "tokens": [event.drawn.token for event in tokens],
            "token_logprobs": [event.drawn.logprob for event in tokens],
            "top_logprobs": [{other.token: other.logprob for other in event.top} for event in tokens],
            "text_offset": offsets,
        }
