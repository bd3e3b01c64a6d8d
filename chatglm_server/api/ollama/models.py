"""Ollama's objects that say what a model is."""

from __future__ import annotations

import math
import time
from hashlib import sha256

from ...embeddings.base import EmbeddingModelInfo
from ...engine.base import ModelInfo
from ..dialect import Json
from .answers import rfc3339
from .names import listed_name

_NEVER = "9999-12-31T23:59:59Z"


def listed(info: ModelInfo | EmbeddingModelInfo) -> Json:
    """An entry of ``/api/tags``. Size and digest are those of the model file, if there is one."""
    return {**_identity(info), "modified_at": _modified(info), "capabilities": capabilities(info)}


def running(info: ModelInfo | EmbeddingModelInfo, unloads_in_s: float = math.inf) -> Json:
    """An entry of ``/api/ps``, for a model that leaves memory in so many seconds."""
    length = info.context_length if isinstance(info, ModelInfo) else 0
    expires = rfc3339(time.time_ns() + round(unloads_in_s * 1e9)) if math.isfinite(unloads_in_s) else _NEVER
    return {**_identity(info), "expires_at": expires, "size_vram": 0, "context_length": length}


def shown(info: ModelInfo | EmbeddingModelInfo) -> Json:
    """The answer to ``/api/show``. The context is the one that is served, not the one the model was made for."""
    family = _family(info)
    figures: Json = {"general.architecture": family, "general.basename": info.id}
    length = info.context_length if isinstance(info, ModelInfo) else 0
    if length:
        figures[f"{family}.context_length"] = length
    if isinstance(info, ModelInfo) and info.facts is not None:
        figures["general.parameter_count"] = info.facts.parameters
    able = capabilities(info)
    return {
        "license": "",
        "modelfile": "",
        "parameters": f"num_ctx {length}" if length else "",
        # Clients that do not know `capabilities` look for the tools here.
        "template": "{{ .System }}{{ .Tools }}{{ .Prompt }}" if "tools" in able else "{{ .System }}{{ .Prompt }}",
        "details": _details(info),
        "model_info": figures,
        "capabilities": able,
        "modified_at": _modified(info),
    }


def capabilities(info: ModelInfo | EmbeddingModelInfo) -> list[str]:
    """What the model is for."""
    if isinstance(info, EmbeddingModelInfo):
        return ["embedding"]
    return ["completion", *(["tools"] if info.supports_tools else []), *(["thinking"] if info.thinks else [])]


def _identity(info: ModelInfo | EmbeddingModelInfo) -> Json:
    name = listed_name(info)
    facts = info.facts if isinstance(info, ModelInfo) else None
    return {
        "name": name,
        "model": name,
        "size": facts.size if facts else 0,
        "digest": facts.digest if facts else sha256(info.id.encode()).hexdigest(),
        "details": _details(info),
    }


def _details(info: ModelInfo | EmbeddingModelInfo) -> Json:
    facts = info.facts if isinstance(info, ModelInfo) else None
    family = _family(info)
    return {
        "parent_model": "",
        "format": facts.container.lower() if facts else "",
        "family": family,
        "families": [family],
        "parameter_size": _count(facts.parameters) if facts else "",
        "quantization_level": facts.quantization if facts else "",
    }


def _family(info: ModelInfo | EmbeddingModelInfo) -> str:
    """The architecture, or else what is known of it: the chat format."""
    if isinstance(info, EmbeddingModelInfo):
        return "bert"
    return info.facts.architecture if info.facts else info.chat_format


def _modified(info: ModelInfo | EmbeddingModelInfo) -> str:
    return rfc3339(info.created * 10**9)


def _count(parameters: int) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.1f}{unit}"
    return str(parameters)
