"""The names of all models, for the error about a name that is unknown."""

from __future__ import annotations

from collections.abc import Iterable

from ..embeddings.base import EmbeddingModelInfo
from ..engine.base import ModelInfo

_MOST = 20


def known_names(infos: Iterable[ModelInfo | EmbeddingModelInfo]) -> str:
    """The ids and aliases, the first 20 of them."""
    names = [name for info in infos for name in (info.id, *info.aliases)]
    return ", ".join(map(repr, names[:_MOST])) + (", …" if len(names) > _MOST else "")
