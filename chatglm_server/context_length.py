"""How long a conversation may be on this machine: the model's own limit, or what fits into memory beside its weights.

Keys and values take memory only when they are used, so a server that promises too much would not fail at its start but
in the middle of a long conversation.
"""

from __future__ import annotations

import logging

from .errors import ModelFileError
from .memory import memory_limit
from .model_files.spec import ModelSpec

LEAST = 2048
"""Tokens that a server offers by itself even where memory is too small for them."""
_USABLE = 0.9  # of the memory; the rest is for the system
_STEP = 1024
_LONGEST = 1 << 20  # of the published models; the core makes tables of this length

_log = logging.getLogger("chatglm_server")


def room_for_tokens(spec: ModelSpec) -> int:
    """Tokens whose keys and values fit into this machine's memory beside the weights; less than 0 if these do not."""
    memory, _ = memory_limit()
    return int(_USABLE * memory - spec.nbytes) // spec.cache_bytes


def default_context(spec: ModelSpec) -> int:
    """The tokens of a context that nobody chose: those that fit, in steps, and at least 2048; at most the model's."""
    room = min(room_for_tokens(spec), _LONGEST)
    fitting = spec.context_length if room >= spec.context_length else room // _STEP * _STEP
    return min(max(LEAST, fitting), spec.context_length)


def context_length(spec: ModelSpec, wanted: int | None) -> int:
    """The tokens of a context: those that are wanted, or the default, with a line if it is less than the model's.

    Raises: ModelFileError if more are wanted than the model was made for, or than memory can hold.
    """
    most = spec.context_length
    if wanted is None:
        context = default_context(spec)
        if context < most:
            _log.warning(
                "context: %d of the model's %d tokens, for more do not fit into memory beside its weights; "
                "--context-length chooses another number",
                context,
                most,
            )
        return context
    if wanted > most:
        raise ModelFileError(f"{spec.path}: --context-length {wanted}: the model was made for at most {most} tokens")
    memory, _ = memory_limit()
    if spec.cache_bytes * wanted > memory:
        raise ModelFileError(
            f"{spec.path}: --context-length {wanted} takes {spec.cache_bytes * wanted / 1e9:.1f} GB of memory, there "
            f"are {memory / 1e9:.1f}; try --context-length {default_context(spec)}"
        )
    return wanted
