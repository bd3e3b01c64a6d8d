"""The contract of a constraint on an answer's tokens, and the bit mask that it fills."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Protocol

from ...errors import ModelFailure


class TokenMask:
    """One bit for each token id, set where the token is allowed: bit ``id % 32`` of word ``id // 32``.

    `words` is writable memory of ``ceil(vocab_size / 32)`` unsigned 32-bit words, at `address`, which does not move.
    """

    def __init__(self, vocab_size: int) -> None:
        self.words = array("I", bytes(4 * ((vocab_size + 31) // 32)))
        self.address, _ = self.words.buffer_info()

    @property
    def nbytes(self) -> int:
        """Size of `words` in bytes."""
        return len(self.words) * self.words.itemsize

    def allow(self, token: int) -> None:
        """Set a token's bit. Mutates the mask. Raises: IndexError."""
        self.words[token >> 5] |= 1 << (token & 31)

    def others(self) -> int:
        """The tokens that are not allowed, a bit each."""
        return int.from_bytes(self.words, "little") ^ ((1 << 8 * self.nbytes) - 1)

    def allow_all(self, tokens: int) -> None:
        """Set the bits that are set in `tokens`, as `others` of a mask of this size returns them. Mutates the mask."""
        bits = int.from_bytes(self.words, "little") | tokens
        self.words[:] = array("I", bits.to_bytes(self.nbytes, "little"))

    def __contains__(self, token: int) -> bool:
        return bool(self.words[token >> 5] >> (token & 31) & 1)

    def __iter__(self) -> Iterator[int]:
        """The allowed tokens, ascending."""
        for place, word in enumerate(self.words):
            while word:
                lowest = word & -word
                yield 32 * place + lowest.bit_length() - 1
                word ^= lowest


class Constraint(Protocol):
    """Decides which tokens may come next in one answer, given those so far.

    Each answer has an object of its own, which one thread at a time uses; different objects are used by several threads
    at once. The model's thread calls it, never the event loop's. If a method raises, the answer ends with an error.
    """

    @property
    def ready(self) -> bool:
        """False while a part of it is still being made. Then nothing else is asked. Any thread may ask this."""
        ...

    @property
    def done(self) -> bool:
        """True if any token may follow from here on. Then nothing else is asked, except `rollback`."""
        ...

    @property
    def free(self) -> bool:
        """True if any token may come next, and then the constraint goes on: it is asked for no mask here."""
        ...

    def fill(self, mask: TokenMask) -> None:
        """Set the bits of the tokens that may come next. All bits are 0 before the call.

        If none is set the answer ends with an error.
        """
        ...

    def forced(self) -> Sequence[int]:
        """The tokens that have to come next, up to the first choice. Changes nothing.

        The answer gets them without a forward pass. After them they are accepted like sampled ones.
        """
        ...

    def accept(self, tokens: Sequence[int]) -> None:
        """Go on by `tokens`; each is allowed at its place. Mutates the constraint."""
        ...

    def rollback(self, count: int) -> None:
        """Take back the last `count` accepted tokens. Mutates the constraint."""
        ...


def accept_and_force(constraint: Constraint | None, tokens: Sequence[int]) -> Sequence[int]:
    """The constraint accepts `tokens`, and then those that it forces, which are returned. Mutates the constraint."""
    if constraint is None:
        return ()
    for token in tokens:
        if not constraint.done:
            constraint.accept([token])
    forced = () if constraint.done else constraint.forced()
    if forced:
        constraint.accept(forced)
    return forced


def constraint_failure(error: Exception | None = None) -> ModelFailure:
    """Why an answer cannot go on: its constraint allows no token, or raised `error`."""
    if error is None:
        return ModelFailure("the answer cannot go on: its constraint allows no token")
    return ModelFailure(f"the answer cannot go on: its constraint failed: {error}")
