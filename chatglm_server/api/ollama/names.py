"""Names of models as Ollama lists them, and its error about one that is unknown."""

from __future__ import annotations

from collections.abc import Iterable

from ...embeddings.base import EmbeddingModelInfo
from ...engine.base import ModelInfo
from ...engine.capabilities import Capability
from ...errors import ModelNotFound
from ...model_names import LATEST
from ..known_names import known_names


def listed_name(info: ModelInfo | EmbeddingModelInfo) -> str:
    """The name that lists show: with a tag, unless another server gave it."""
    foreign = isinstance(info, ModelInfo) and Capability.ANY_MODEL in info.capabilities
    return info.id if foreign or ":" in info.id else info.id + LATEST


def not_found(name: str, known: Iterable[ModelInfo | EmbeddingModelInfo]) -> ModelNotFound:
    """The error, which begins with Ollama's own words."""
    return ModelNotFound(f"model {name!r} not found; this server has {known_names(known)} (see --alias)", param="model")
