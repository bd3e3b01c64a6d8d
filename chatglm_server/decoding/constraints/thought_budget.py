"""A constraint that ends a thought which has grown too long."""

from __future__ import annotations

from collections.abc import Sequence

from ...model_files.tokenizer import Tokenizer
from .base import Constraint, TokenMask

_MOST_TOKENS_OF_A_MARK = 16


class ThoughtBudget:
    """After `budget` tokens of thought the tokens of `closing` follow, and then the answer goes on as it likes.

    A thought is the text from the mark `start` on, if only blanks stand before it, or from the answer's beginning if it
    begins `inside`, up to the mark `end`. A mark is a special token's name, or text. `closing` holds `end`. `inner`
    holds as well, if there is one; it is never done.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        budget: int,
        closing: Sequence[int],
        marks: tuple[str, str],
        *,
        inside: bool,
        inner: Constraint | None = None,
        samples_all: bool = False,
    ) -> None:
        self._tokenizer = tokenizer
        self._names = {token: name.encode() for name, token in tokenizer.specials.items()}
        self._budget = budget
        self._closing = closing
        self._start, self._end = (mark.encode() for mark in marks)
        self._inner = inner
        self._samples_all = samples_all
        self._tokens: list[int] = []
        self._opened: int | None = 0 if inside else None  # tokens of the answer before the thought
        self._closed: int | None = None  # tokens up to the end of the thought, or of what begins an answer without one

    @property
    def ready(self) -> bool:
        return self._inner is None or self._inner.ready

    @property
    def done(self) -> bool:
        return self._closed is not None and self._inner is None

    @property
    def free(self) -> bool:
        return not self._rest() and (self._inner is None or self._inner.free)

    def fill(self, mask: TokenMask) -> None:
        rest = self._rest()
        if rest:
            mask.allow(rest[0])
        elif self._inner is not None:
            self._inner.fill(mask)

    def forced(self) -> Sequence[int]:
        rest = self._rest()
        if rest:
            return () if self._samples_all else rest
        return () if self._inner is None else self._inner.forced()

    def accept(self, tokens: Sequence[int]) -> None:
        """Raises: RuntimeError if `inner` does not allow a token."""
        for token in tokens:
            if self._inner is not None:
                self._inner.accept([token])
            self._tokens.append(token)
            if self._closed is not None:
                continue
            if self._opened is None:
                text = self._last(0).lstrip()
                if text.startswith(self._start):
                    self._opened = len(self._tokens)
                elif not self._start.startswith(text):  # a mark behind text is text to the parsers as well
                    self._closed = len(self._tokens)
            elif self._end in self._last(self._opened):
                self._closed = len(self._tokens)

    def rollback(self, count: int) -> None:
        length = len(self._tokens) - count
        if self._inner is not None:
            self._inner.rollback(count)
        del self._tokens[length:]
        if self._closed is not None and self._closed > length:
            self._closed = None
        if self._opened is not None and self._opened > length:
            self._opened = None

    def _rest(self) -> Sequence[int]:
        """What is left of the closing; nothing before the budget is spent, and behind the thought."""
        if self._opened is None or self._closed is not None:
            return ()
        over = len(self._tokens) - self._opened - self._budget
        return self._closing[over:] if over >= 0 else ()

    def _last(self, begin: int) -> bytes:
        """The text of the last tokens, enough for a mark. Those before the token number `begin` do not count."""
        last = self._tokens[max(begin, len(self._tokens) - _MOST_TOKENS_OF_A_MARK) :]
        return b"".join(self._names.get(token) or self._tokenizer.token_bytes(token) for token in last)
