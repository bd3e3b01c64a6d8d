"""Blocks: the pieces in which prefixes are kept on disk.

A block holds the keys and values of `BLOCK` tokens, and its name is a hash of the model, of these tokens and of all
before them. So prefixes that begin alike share the blocks of their beginning, a conversation that goes on adds blocks
and rewrites none, and the longest known prefix of a prompt is found by looking for one name after the other.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

BLOCK = 128
"""Tokens of a block. A file of some megabytes, and few tokens of a prefix's end that are read again."""


@dataclass(frozen=True, slots=True)
class Block:
    """A place in a prefix: `tokens` from `start` on, 4 bytes each, behind the block `parent`.

    Names have 64 hexadecimal digits; the first block's parent is the model's key.
    """

    parent: str
    start: int
    tokens: bytes

    @property
    def name(self) -> str:
        return sha256(bytes.fromhex(self.parent) + self.tokens).hexdigest()

    def as_list(self) -> list[int]:
        """The tokens."""
        return array("I", self.tokens).tolist()


def block_at(tokens: Sequence[int], start: int, parent: str) -> Block:
    """The block of the tokens from `start` on. There have to be `BLOCK` of them."""
    return Block(parent, start, array("I", tokens[start : start + BLOCK]).tobytes())


def blocks_of(tokens: Sequence[int], key: str) -> Iterator[Block]:
    """The whole blocks of `tokens`, in order, for the model `key`."""
    for start in range(0, len(tokens) - BLOCK + 1, BLOCK):
        block = block_at(tokens, start, key)
        yield block
        key = block.name
