"""A constraint on how an answer begins: with one of some token sequences, such as the openings of tool calls."""

from __future__ import annotations

from collections.abc import Sequence

from .base import TokenMask


class ForcedPrefix:
    """Allows the tokens that go on along a prefix; where prefixes differ, the model chooses. Done after any of them."""

    ready = True
    free = False

    def __init__(self, prefixes: Sequence[Sequence[int]]) -> None:
        """At least one prefix, none of them empty."""
        self._prefixes = [list(prefix) for prefix in prefixes]
        self._tokens: list[int] = []

    @property
    def length(self) -> int:
        """Accepted tokens."""
        return len(self._tokens)

    @property
    def done(self) -> bool:
        return begins_with_any(self._tokens, self._prefixes)

    def fill(self, mask: TokenMask) -> None:
        for token in self._next(self._tokens):
            mask.allow(token)

    def forced(self) -> list[int]:
        tokens = list(self._tokens)
        while not begins_with_any(tokens, self._prefixes) and len(following := self._next(tokens)) == 1:
            tokens += following
        return tokens[len(self._tokens) :]

    def accept(self, tokens: Sequence[int]) -> None:
        self._tokens += tokens

    def rollback(self, count: int) -> None:
        del self._tokens[len(self._tokens) - count :]

    def _next(self, tokens: list[int]) -> set[int]:
        length = len(tokens)
        return {prefix[length] for prefix in self._prefixes if prefix[:length] == tokens and len(prefix) > length}


def begins_with_any(tokens: Sequence[int], prefixes: Sequence[Sequence[int]]) -> bool:
    """True if `tokens` begin with the whole of some prefix. All are of one type of sequence."""
    return any(tokens[: len(prefix)] == prefix for prefix in prefixes)
