"""OpenAI's objects that several endpoints answer with."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence

from ...chat import AnswerWritten, Finish, PromptRead, Usage
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
    details = {
        "reasoning_tokens": usage.reasoning_tokens,
        "accepted_prediction_tokens": usage.accepted_tokens,
        "rejected_prediction_tokens": usage.rejected_tokens,
    }
    if known := {name: count for name, count in details.items() if count is not None}:
        counts["completion_tokens_details"] = known
    for name, value in usage.details.items():
        if isinstance(value, Mapping):
            counts[name] = {**value, **counts.get(name, {})}
        else:
            counts.setdefault(name, value)
    return counts


def timings_of(ends: Sequence[Finish | AnswerWritten]) -> Json:
    """llama-server's `timings`, for all of these answers together. A speed is null if no time has passed."""
    usage = sum((end.usage for end in ends), Usage())
    timings = [end.timings for end in ends if end.timings is not None]
    read, generated = usage.prompt_tokens - usage.cached_tokens, usage.completion_tokens
    figures = {
        "cache_n": usage.cached_tokens,
        **_speed("prompt", read, timings[0].first_token if timings else 0.0),
        **_speed("predicted", generated, sum(each.generation for each in timings)),
        "draft_n": (usage.accepted_tokens or 0) + (usage.rejected_tokens or 0),
        "draft_n_accepted": usage.accepted_tokens or 0,
    }
    return {"timings": figures}


def progress_of(event: PromptRead) -> Json:
    """llama-server's `prompt_progress`; what was in the cache counts as processed."""
    figures = {
        "total": event.tokens,
        "cache": event.cached,
        "processed": event.read,
        "time_ms": round(1000 * event.seconds),
    }
    return {"prompt_progress": figures}


def _speed(name: str, tokens: int, seconds: float) -> Json:
    return {
        f"{name}_n": tokens,
        f"{name}_ms": 1000 * seconds,
        f"{name}_per_token_ms": 1000 * seconds / tokens if tokens else None,
        f"{name}_per_second": tokens / seconds if seconds else None,
    }


def model_object(info: ModelInfo) -> Json:
    """An entry of ``/v1/models``; `unit` says what lengths and usage count, `thinking` when the model thinks first."""
    return {
        "id": info.id,
        "object": "model",
        "created": info.created,
        "owned_by": "chatglm-server",
        "context_length": info.context_length or None,
        "unit": info.unit,
        "chat_format": info.chat_format,
        "supports_tools": info.supports_tools,
        "thinking": info.thinking,
        "aliases": list(info.aliases),
    }
