"""One answer in the making, as the scheduler sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Sequence

from .kv_cache import Slot
from .model import Drawn, Part, Sampler

Mask = Callable[[list[int]], Sequence[int]]
"""The tokens of an answer so far → those that may come next; none: any may."""


class AnswerSequence:
    """A prompt and the answer that grows behind it.

    Its first tokens are in the cache, the others are to be read. When all are, the next one is drawn.
    """

    def __init__(
        self,
        prompt: list[int],
        make_sampler: Callable[[], Sampler],
        *,
        max_tokens: int,
        stop_tokens: Collection[int],
        mask: Mask | None = None,
    ) -> None:
        """`max_tokens` is at least 1; one of `stop_tokens` ends the answer and is its last token."""
        self.tokens = prompt  # until it begins: what waits shares its prompt with other answers to it
        self.prompt_length = len(prompt)
        self._make_sampler = make_sampler
        self._max_tokens = max_tokens
        self.stop_tokens = stop_tokens
        self._mask = mask
        self._allowed: Sequence[int] = ()
        self.masked = 0
        """Tokens that the answer begins with by the mask's will."""
        self.cached: int | None = None
        """Tokens of the prompt that were in the cache when it began; None: it has not."""
        self.began = 0.0
        self.ended = False
        """Whether the answer is whole, or nobody wants it any more."""
        self.out: asyncio.Queue[Drawn | Exception | None] = asyncio.Queue()
        """What is drawn, and at the end None or what went wrong. Bounded by `max_tokens`."""

    def begin(self, cached: int) -> None:
        """Take note that it runs, with `cached` tokens in the cache; again, if it had to wait once more. Mutates it."""
        if self.cached is None:
            self.cached, self.began = cached, time.perf_counter()
            self.tokens, self._sampler = list(self.tokens), self._make_sampler()
            self._take_forced()

    def part(self, slot: Slot, count: int) -> Part:
        """The next `count` tokens that `slot` does not hold; if these are all, the next is drawn."""
        start = len(slot.tokens)
        tokens, draw = self.tokens[start : start + count], start + count == len(self.tokens)
        return Part(slot.index, start, tokens, self._sampler, draw, self._allowed)

    def take(self, drawn: Drawn) -> None:
        """The next token of the answer, and those that the mask leaves no choice about. Mutates the sequence."""
        self._append(drawn)
        self._take_forced()

    def fail(self, error: Exception) -> None:
        """End with `error`. Mutates the sequence."""
        self.ended = True
        self.out.put_nowait(error)

    def _append(self, drawn: Drawn) -> None:
        self.tokens.append(drawn.token)
        self.masked += self._mask is not None
        self.out.put_nowait(drawn)
        if drawn.token in self.stop_tokens or len(self.tokens) - self.prompt_length >= self._max_tokens:
            self.ended = True
            self.out.put_nowait(None)

    def _take_forced(self) -> None:
        while self._mask is not None and not self.ended:
            self._allowed = self._mask(self.tokens[self.prompt_length :])
            if not self._allowed:
                self._mask = None
            if len(self._allowed) != 1:
                return
            self._sampler.note(self._allowed[0])
            self._append(Drawn(self._allowed[0]))
