"""How the sequences of a pass share it."""

from __future__ import annotations

import math
from collections.abc import Sequence

PREFILL_BESIDE_DECODE = 32
"""Tokens of prompts in a pass that others wait for, each for its next token."""


def pass_shares(unread: Sequence[int], decodes: Sequence[bool], chunk: int) -> list[int]:
    """How many of its `unread` tokens each sequence reads in a pass, which reads at most `chunk` tokens of prompts.

    A decode never waits for a prefill; it may have forced tokens after the last sampled one. Prefills have equal shares
    of the room, so that a short prompt does not wait for a long one.
    """
    first = [decoding or tokens == 1 for tokens, decoding in zip(unread, decodes, strict=True)]
    beside = min(chunk, PREFILL_BESIDE_DECODE)
    shares = [min(tokens, beside) if now else 0 for tokens, now in zip(unread, first, strict=True)]
    room = beside if any(first) else chunk
    prefills = sorted((tokens, place) for place, tokens in enumerate(unread) if not first[place])
    for number, (tokens, place) in enumerate(prefills):
        shares[place] = min(tokens, math.ceil(room / (len(prefills) - number)))
        room -= shares[place]
    return shares
