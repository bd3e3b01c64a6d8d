"""What the scheduler knows of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..sampling import SamplingParams


class Sampler(Protocol):
    """Draws the tokens of one answer. What a model makes of it is the model's own business."""

    def note(self, token: int) -> None:
        """Take note of a token of the answer that was not drawn. Mutates the sampler."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one pass is to read of one sequence: `tokens`, from `position` on, into the cache `slot`.

    With `draw` the token that follows them is drawn by `sampler`, which the model made: one of `allowed`, if there are
    any.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    sampler: Any
    draw: bool
    allowed: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token and the natural logarithm of its probability, and the likeliest tokens with theirs, where wanted."""

    token: int
    logprob: float = 0.0
    top: Sequence[tuple[int, float]] = ()


class Model(Protocol):
    """A model at token level, and the key/value caches of some sequences. It knows nothing of chat.

    One thread at a time may call it.
    """

    vocab_size: int
    slots: int
    """How many sequences it can hold."""
    chunk: int
    """Tokens of prompts that are best read in one pass: enough to be fast, few enough to be interruptible."""
    reuses_prefixes: bool
    """Whether a sequence can go on from a part of another."""

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams) -> Sampler:
        """A sampler for an answer to `prompt`."""
        ...

    def read(self, parts: Sequence[Part]) -> list[Drawn | None]:
        """One pass over parts of different sequences. Returns what was drawn for each. Mutates their caches.

        Raises: ModelFailure.
        """
        ...

    def copy(self, source: int, target: int, count: int) -> None:
        """Make the first `count` positions of the slot `target` those of `source`."""
        ...

    def forget(self, slot: int, kept: int) -> None:
        """Give back the memory of a slot's positions but the first `kept`."""
        ...
