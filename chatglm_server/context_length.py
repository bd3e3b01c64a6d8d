"""How long a conversation may be on this machine: the model's own limit, or what fits into memory beside its weights.

Keys and values take memory only when they are used, so a server that promises too much would not fail at its start but
in the middle of a long conversation.
"""

from __future__ import annotations

import logging

from .errors import ModelFileError
from .memory import memory_limit
from .model_files.spec import ModelSpec

_BITS = {"Q8_0": 8.6, "Q6_K": 7.2, "Q5_K_M": 6.1, "Q4_K_M": 5.3, "IQ4_XS": 4.6, "Q3_K_M": 4.3, "Q2_K": 3.5}
"""Bits of a weight in the quantizations that people publish, the best first: the most that GLM models take."""
LEAST = 2048
"""Tokens that a server offers by itself even where memory is too small for them."""
_USABLE = 0.9  # of the memory; the rest is for the system
_MOST_WEIGHTS = 0.95  # of the memory
_STEP = 1024
_LONGEST = 1 << 20  # of the published models; the core makes tables of this length

_log = logging.getLogger("chatglm_server")


def room_for_tokens(spec: ModelSpec) -> int:
    """Tokens whose keys and values fit into this machine's memory beside the weights; less than 0 if these do not."""
    memory, _ = memory_limit()
    return int(_USABLE * memory - spec.nbytes) // spec.cache_bytes


def usable_memory() -> int:
    """Bytes of this machine's memory that models may take with their keys and values."""
    return int(_USABLE * memory_limit()[0])


def check_memory(spec: ModelSpec) -> None:
    """Raises: ModelFileError if the weights do not fit into this machine's memory.

    Each token reads most of them, so with a part on the disk a sentence would take minutes.
    """
    memory, _ = memory_limit()
    if spec.nbytes <= _MOST_WEIGHTS * memory:
        return
    room = _USABLE * memory - LEAST * spec.cache_bytes
    fitting = next((name for name, bits in _BITS.items() if bits / 8 * spec.parameters <= room), "a smaller model")
    raise ModelFileError(
        f"{spec.path}: the weights take {spec.nbytes / 1e9:.1f} GB, and there are {memory / 1e9:.1f} GB of memory: "
        f"it would swap; take {fitting}"
    )


def default_context(spec: ModelSpec) -> int:
    """The tokens of a context that nobody chose: those that fit, in steps, and at least 2048; at most the model's."""
    room = min(room_for_tokens(spec), _LONGEST)
    fitting = spec.context_length if room >= spec.context_length else room // _STEP * _STEP
    return min(max(LEAST, fitting), spec.context_length)


def context_length(spec: ModelSpec, wanted: int | None) -> int:
    """The tokens of a context: those that are wanted, or the default.

    Raises: ModelFileError if more are wanted than the model was made for, or than memory can hold.
    """
    most = spec.context_length
    if wanted is None:
        return default_context(spec)
    if wanted > most:
        raise ModelFileError(f"{spec.path}: --context-length {wanted}: the model was made for at most {most} tokens")
    memory, _ = memory_limit()
    if spec.cache_bytes * wanted > memory:
        raise ModelFileError(
            f"{spec.path}: --context-length {wanted} takes {spec.cache_bytes * wanted / 1e9:.1f} GB of memory, there "
            f"are {memory / 1e9:.1f}; try --context-length {default_context(spec)}"
        )
    return wanted


def warn_of_short_context(spec: ModelSpec, context: int) -> None:
    """Log a line if a context that nobody chose is less than the model's."""
    if context < spec.context_length:
        _log.warning(
            "context: %d of the model's %d tokens, for more do not fit into memory beside its weights; "
            "--context-length chooses another number",
            context,
            spec.context_length,
        )
