"""Reads the lists of models of backends, and compares them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeGuard

from ...formats.registry import FORMATS
from ..base import ModelInfo

MAX_MODELS = 1000
CONTEXT_FIELDS = ("context_length", "max_model_len", "max_context_length", "context_window")
"""The names of a context length at OpenRouter, vLLM, LM Studio and Groq."""
_SHOWN = 3
_MOST_TOKENS = 1 << 40
_LAST_SECOND = 253_402_300_799  # of the year 9999, where Python's dates end; some servers say milliseconds


def read_models(listed: object, like: ModelInfo, format_name: Callable[[str], str | None]) -> list[ModelInfo] | None:
    """Returns the models in the answer to ``GET /models``, or None if it is not a list of models.

    What a list does not say is taken from `like`; `format_name` gives the chat format of a model's name.
    """
    entries = listed.get("data") if isinstance(listed, dict) else None
    if not isinstance(entries, list):
        return None
    return [
        _model(entry, like, format_name(entry["id"]))
        for entry in entries[:MAX_MODELS]
        if isinstance(entry, dict) and isinstance(entry.get("id"), str)
    ]


def difference(names: Mapping[str, Sequence[str]]) -> str:
    """Returns a line that says how the lists of models differ; "" if they do not. `names` are those at each address."""
    if len({frozenset(listed) for listed in names.values()}) < 2:
        return ""
    lists = "; ".join(f"{address} has {_some(listed)}" for address, listed in names.items())
    return f"the backends have different models: {lists}; a request may go to any of them, whatever model it names"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(names[:_SHOWN]) or "none") + more


def _model(entry: Mapping[str, Any], like: ModelInfo, chat_format: str | None) -> ModelInfo:
    meta = entry.get("meta")
    lengths: list[Any] = [entry.get(name) for name in CONTEXT_FIELDS]
    lengths.append(meta.get("n_ctx_train") if isinstance(meta, dict) else None)  # llama-server
    created = entry.get("created")
    return replace(
        like,
        id=entry["id"],
        chat_format=chat_format or "none",
        context_length=next((length for length in lengths if _is_count(length, _MOST_TOKENS)), 0),
        created=created if _is_count(created, _LAST_SECOND) else 0,
        note="",
        thinking=None if chat_format is None else FORMATS[chat_format].thinking.when,
    )


def _is_count(value: object, most: int) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= most
