"""The measures: each takes a few seconds of one side, and is one turn of a round.

A measure begins with a few untimed tokens. The side has slept while another was measured; these tokens warm up its
code, the pages of its weights and the processor's clock, as in a busy server. Token ids are drawn anew each round, the
same for all sides.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .backends import Backend


@dataclass(frozen=True)
class Lengths:
    """Tokens."""

    prefill: int = 512
    decode_prompt: int = 16
    decode: int = 64
    cached: int = 600
    new: int = 64
    long_context: int = 4096
    long_part: int = 512

    def context(self) -> int:
        """Tokens of a sequence that all measures but the long one need."""
        return max(self.prefill, self.decode_prompt + self.decode, self.cached + self.new) + 32


@dataclass(frozen=True)
class Figure:
    """A row of the table. `speed` is 1 if more is better, -1 if less is better, 0 if a ratio has no meaning."""

    label: str
    unit: str
    speed: int


def figures(lengths: Lengths) -> dict[str, Figure]:
    """Every figure, in the table's order."""
    first = f"first token, {lengths.new} tokens after {lengths.cached}"
    part, context = lengths.long_part, lengths.long_context
    return {
        "prefill": Figure(f"prefill, {lengths.prefill} tokens", "tok/s", 1),
        "decode": Figure("decode, 1 sequence", "tok/s", 1),
        "decode_4": Figure("decode, 4 sequences in all", "tok/s", 1),
        "cold": Figure(f"{first}, all new", "s", -1),
        "cached": Figure(f"{first} cached", "s", -1),
        "gain": Figure("cold / cached", "x", 0),
        "first": Figure(f"prefill, first {part} of {context}", "tok/s", 1),
        "last": Figure(f"prefill, last {part} of {context}", "tok/s", 1),
        "slowdown": Figure("last / first", "x", 0),
        "load": Figure("load from page cache, to a token", "s", -1),
        "resident": Figure("resident memory", "GB", -1),
        "read": Figure("memory read", "GB/s", 0),
    }


Draw = Callable[[int], list[int]]


def ids_of(vocabulary: int, seed: int) -> Draw:
    """Draws token ids; from the first half of the vocabulary, which are ordinary pieces in all tokenizers."""
    random = np.random.default_rng(seed)
    return lambda count: [int(token) for token in random.integers(vocabulary // 2, size=count)]


def warm_up(model: Backend, draw: Draw) -> None:
    """A few tokens, read and sampled."""
    following = model.read(0, draw(8))
    for _ in range(2):
        (following,) = model.step([following])


def prefill(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Reads a prompt on an empty cache, up to and with the first token."""
    return {"prefill": lengths.prefill / _read_seconds(model, 0, draw(lengths.prefill))}


def decode(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """One sequence after a short prompt, which is read before the clock starts."""
    return {"decode": _decode(model, draw, lengths, 1)}


def decode_four(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Four such sequences in one pass a token; one after the other if the backend has only one."""
    return {"decode_4": _decode(model, draw, lengths, 4)}


def cached(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """The first token of a prompt that is all new, then of one that has a new end, as tool prompts have."""
    cold = _read_seconds(model, 0, draw(lengths.cached + lengths.new))
    warm = _read_seconds(model, 0, draw(lengths.new), keep=lengths.cached)
    return {"cold": cold, "cached": warm, "gain": cold / warm}


def long(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """The first part of a long context, then the last part.

    The tokens before the last part are read once, untimed, and kept in sequence 1; the last part is truncated and read
    again each time. The first part is read into sequence 0.
    """
    before = lengths.long_context - lengths.long_part
    if model.length(1) < before:
        model.read(1, draw(before))
    first = lengths.long_part / _read_seconds(model, 0, draw(lengths.long_part))
    last = lengths.long_part / _read_seconds(model, 1, draw(lengths.long_part), keep=before)
    return {"first": first, "last": last, "slowdown": last / first}


MEASURES: dict[str, Callable[[Backend, Draw, Lengths], dict[str, float]]] = {
    "prefill": prefill,
    "decode": decode,
    "decode4": decode_four,
    "cached": cached,
    "long": long,
}


def _decode(model: Backend, draw: Draw, lengths: Lengths, count: int) -> float:
    """Tokens a second, of all sequences together."""
    seconds = 0.0
    for begin in range(0, count, model.sequences):
        batch: Sequence[int] = range(min(model.sequences, count - begin))
        following = [model.read(sequence, draw(lengths.decode_prompt)) for sequence in batch]
        started = time.perf_counter()
        for _ in range(lengths.decode):
            following = model.step(following)
        seconds += time.perf_counter() - started
    return count * lengths.decode / seconds


def _read_seconds(model: Backend, sequence: int, ids: Sequence[int], keep: int = 0) -> float:
    started = time.perf_counter()
    model.read(sequence, ids, keep)
    return time.perf_counter() - started
