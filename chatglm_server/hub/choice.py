"""Which quantization of a model suits this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from ..errors import ModelFileError
from ..memory import memory_limit
from .sizes import size_text

PREFERRED = (
    *("Q4_K_M", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K"),
    *("Q5_K_M", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K", "Q8_0", "BF16", "F16", "F32"),
)
"""The best first. Most people run Q4_K_M, since 4 bits lose little. Smaller ones follow, and larger ones come last."""

CONTEXT = 8192
"""Tokens that a model must have room for to fit."""
_CACHE_BYTES = 131_072  # of a token, for a model that the catalog does not know
_SYSTEM_BYTES = 2 << 30  # for the system and other programs; in a container they have their own
_OURS_BYTES = 1 << 29
_MOST_SHOWN = 40


class _Sized(Protocol):
    @property
    def file(self) -> str: ...
    @property
    def quantization(self) -> str: ...
    @property
    def size(self) -> int: ...


Model = TypeVar("Model", bound=_Sized)


def choose(models: Sequence[Model], title: str, cache_bytes: int = 0) -> tuple[Model, str]:
    """The model to take, and the reason. `cache_bytes` are the keys and values of a token, 0 if unknown.

    If there is only one model, its name may lack a quantization.

    Raises: ModelFileError if there is none in `PREFERRED`, or none that fits into memory.
    """
    known = sorted((model for model in models if model.quantization in PREFERRED), key=_rank)
    if not known and len(models) == 1 and not models[0].quantization:
        known = list(models)
    if not known:
        raise ModelFileError(f"{title}: no quantization that this server knows; it has {offer(models)}")
    limit, in_container = memory_limit()
    rest = memory_beside_weights(cache_bytes)
    place = "this container" if in_container else "this machine"
    fitting = [model for model in known if model.size + rest <= limit]
    if not fitting:
        smallest = min(known, key=lambda model: model.size)
        raise ModelFileError(
            f"{title}: even {_name(smallest)} needs {size_text(smallest.size + rest)} of memory, {place} has "
            f"{size_text(limit)}; {title}:{_name(smallest)} takes it all the same"
        )
    best, chosen = known[0], fitting[0]
    if chosen is best:
        return (
            chosen,
            f"{_name(chosen)} ({size_text(chosen.size)}), which fits into the {size_text(limit)} of {place}",
        )
    return chosen, (
        f"{chosen.quantization} ({size_text(chosen.size)}): {best.quantization} needs "
        f"{size_text(best.size + rest)} of memory, {place} has {size_text(limit)}"
    )


def memory_beside_weights(cache_bytes: int) -> int:
    """Bytes of memory that a model needs beside its weights: for keys and values, and for the system.

    `cache_bytes` are the keys and values of a token, 0 if unknown.
    """
    _, in_container = memory_limit()
    return (cache_bytes or _CACHE_BYTES) * CONTEXT + (_OURS_BYTES if in_container else _SYSTEM_BYTES)


def preferred(models: Sequence[Model]) -> Model:
    """The one that would be chosen if all of them fit."""
    return min(models, key=_rank)


def offer(models: Sequence[_Sized]) -> str:
    """The quantizations, or else the files, to choose from."""
    return some(sorted({_name(model) for model in models}))


def some(names: Sequence[str]) -> str:
    """The first of `names` for one line of text, and how many more there are."""
    more = len(names) - _MOST_SHOWN
    return ", ".join(names[:_MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _name(model: _Sized) -> str:
    return model.quantization or model.file


def _rank(model: _Sized) -> int:
    return PREFERRED.index(model.quantization) if model.quantization in PREFERRED else len(PREFERRED)
