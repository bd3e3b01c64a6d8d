"""A model at token level: it reads tokens and gives logits. It knows nothing of sampling, and nothing of chat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Logits(Protocol):
    """A writable, C-contiguous float32 array (rows, vocab) in main memory, by DLPack; NumPy's arrays are such."""

    def __dlpack__(self, *, stream: None = None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


@dataclass(frozen=True, slots=True)
class ScheduledSequence:
    """The part of one sequence that one forward pass reads: `tokens`, from `position` on, into the KV cache of `slot`.

    The logits after the last `wanted` of them are wanted.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    wanted: int


class PortableCache(Protocol):
    """A KV cache whose content can be taken out and put in again, into the same model in another process."""

    kernels: str
    """The instructions that it computes with, on which the bits of keys and values depend."""

    def cache_bytes(self, count: int) -> int:
        """Bytes of the keys and values of `count` positions, a multiple of 16."""
        ...

    def read_cache(self, slot: int, start: int, count: int) -> bytes:
        """The keys and values of `count` positions from `start` on, both multiples of 16.

        Raises: ModelFailure.
        """
        ...

    def write_cache(self, slot: int, start: int, count: int, data: bytes) -> None:
        """Put what `read_cache` returned into a slot. Positions behind it are undefined then. Mutates the cache.

        Raises: ModelFailure.
        """
        ...


class Model(Protocol):
    """A network and the KV caches ("slots") of some sequences. One thread at a time may call it."""

    vocab_size: int
    slots: int
    """Sequences whose keys and values it can hold. An unused slot costs no memory."""
    chunk: int
    """Tokens of prompts that are best read in one pass: enough to be fast, few enough to be interruptible."""
    reuses_prefixes: bool
    """True if a sequence can go on from a part of another."""

    def forward(self, batch: Sequence[ScheduledSequence]) -> Logits:
        """One pass over sequences in different slots. Returns the wanted rows, in the order of the batch.

        A row's logits must be the same bits whatever else is in the pass. Positions from a scheduled one on are
        overwritten. Mutates the caches.

        Raises: ModelFailure.
        """
        ...

    def truncate(self, slot: int, kept: int) -> None:
        """Drop the positions of `slot` from `kept` on, and give back their memory."""
        ...

    def copy(self, source: int, target: int, count: int) -> None:
        """Make the first `count` positions of the slot `target` those of `source`; what it held is lost.

        Raises: ModelFailure.
        """
        ...
