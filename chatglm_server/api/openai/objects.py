"""OpenAI's objects that several endpoints answer with."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping

from ...chat import Usage
from ...engine.base import ModelInfo
from ..dialect import Json


def answer_head(prefix: str, model: str) -> Json:
    """The fields that all objects of one answer have in common: id, time (seconds since the epoch) and model."""
    return {"id": prefix + secrets.token_hex(12), "created": int(time.time()), "model": model}


def usage_object(usage: Usage) -> Json:
    """OpenAI's `usage`. Our counts are sums over all prompts, so they replace those in a backend's details."""
    counts: Json = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
    }
    if usage.reasoning_tokens is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    for name, value in usage.details.items():
        if isinstance(value, Mapping):
            counts[name] = {**value, **counts.get(name, {})}
        else:
            counts.setdefault(name, value)
    return counts


def model_object(info: ModelInfo) -> Json:
    """An entry of ``/v1/models``; `unit` says what lengths and usage count."""
    return {
        "id": info.id,
        "object": "model",
        "created": info.created,
        "owned_by": "chatglm-server",
        "context_length": info.context_length or None,
        "unit": info.unit,
        "chat_format": info.chat_format,
        "supports_tools": info.supports_tools,
        "aliases": list(info.aliases),
    }
