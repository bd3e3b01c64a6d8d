"""Names of models as Ollama's clients say them: in any case, and with a tag or without."""

from __future__ import annotations

from collections.abc import Sequence

from ...embeddings.base import EmbeddingModelInfo
from ...engine.base import ModelInfo
from ...engine.capabilities import Capability
from ...errors import ModelNotFound
from ...model_names import LATEST, plain

_MAX_NAMED = 20


def listed_name(info: ModelInfo | EmbeddingModelInfo) -> str:
    """The name that lists show: with a tag, unless another server gave it."""
    foreign = isinstance(info, ModelInfo) and Capability.ANY_MODEL in info.capabilities
    return info.id if foreign or ":" in info.id else info.id + LATEST


def is_called(name: str, info: ModelInfo | EmbeddingModelInfo) -> bool:
    """True if `name` is one of the model's."""
    return plain(name) in {plain(known) for known in (info.id, *info.aliases)}


def not_found(name: str, known: Sequence[str]) -> ModelNotFound:
    """The error, which begins with Ollama's own words."""
    names = ", ".join(map(repr, known[:_MAX_NAMED])) + (", …" if len(known) > _MAX_NAMED else "")
    return ModelNotFound(f"model {name!r} not found; this server has {names} (see --alias)", param="model")
