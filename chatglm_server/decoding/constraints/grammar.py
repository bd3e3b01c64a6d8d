"""A constraint by a grammar: llguidance's matcher says which tokens keep the answer a sentence of it."""

from __future__ import annotations

from collections.abc import Sequence

from llguidance import LLMatcher, LLTokenizer

from .base import TokenMask


class GrammarConstraint:
    """Every answer is a sentence of the grammar, and ends where a sentence ends.

    Text that the grammar leaves no choice about is forced: cut into tokens as the tokenizer cuts it, and only as far
    as no longer token could take its place. `samples_all`: each of these tokens is sampled all the same, with a mask
    that allows it alone, for the sake of its log probability. The answer is the same.
    """

    ready = True
    done = False
    free = False

    def __init__(
        self, matcher: LLMatcher, vocabulary: LLTokenizer, end_tokens: Sequence[int], *, samples_all: bool = False
    ) -> None:
        """`matcher`, over `vocabulary`, is at its beginning, and for this answer alone.

        The first of `end_tokens` follows a sentence that cannot go on.
        """
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._end_tokens = end_tokens
        self._ended = False  # by an end token, which the matcher does not get to see: it cannot take one back
        self._samples_all = samples_all
        self._length = 0
        self._run: list[int] = []  # the last tokens that were forced
        self._run_start = 0

    @property
    def length(self) -> int:
        """Accepted tokens."""
        return self._length

    @property
    def complete(self) -> bool:
        """True if the sentence may end here."""
        return self._matcher.is_accepting()

    def begin(self, text: bytes, special: Sequence[int] = ()) -> bool:
        """The sentence begins with `text`, then the special tokens `special`, which were written before the constraint
        was made; false if none can.

        Mutates the constraint. No `rollback` goes back behind them.
        """
        tokens = [*self._vocabulary.tokenize_bytes(text), *special]
        return self._matcher.validate_tokens(tokens) == len(tokens) and self._matcher.consume_tokens(tokens)

    def fill(self, mask: TokenMask) -> None:
        """Raises: RuntimeError if the matcher has failed, because a limit is spent."""
        forced = self._forced() if self._samples_all else []
        if forced:
            mask.allow(forced[0])
            return
        self._matcher.unsafe_compute_mask_ptr(mask.address, mask.nbytes)
        self._check()

    def forced(self) -> list[int]:
        return [] if self._samples_all else self._forced()

    def accept(self, tokens: Sequence[int]) -> None:
        """Raises: RuntimeError if a token is not allowed."""
        for token in tokens:
            if token in self._end_tokens and self._matcher.is_accepting() and not self._ended:
                self._ended = True
            else:
                self._matcher.consume_token(token)
        self._check()
        self._length += len(tokens)

    def rollback(self, count: int) -> None:
        self._length -= count
        if count and self._ended:
            self._ended = False
            count -= 1
        self._matcher.rollback(count)
        if self._length < self._run_start:
            self._run = []

    def _forced(self) -> list[int]:
        """The rest of the last run, or a new one."""
        rest = self._run[self._length - self._run_start :]
        if rest:
            return rest
        if self._ended:
            return []
        if self._matcher.is_stopped():
            self._check()
            run = [self._end_tokens[0]]
        else:
            run = self._matcher.compute_ff_tokens()
            run = run[: self._matcher.validate_tokens(run)]
        self._run, self._run_start = run, self._length
        return run

    def _check(self) -> None:
        if self._matcher.is_error():
            raise RuntimeError(" ".join(self._matcher.get_error().split())[:200])
