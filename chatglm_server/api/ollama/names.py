"""Names of models as Ollama's clients say them: in any case, and with a tag or without."""

from __future__ import annotations

from collections.abc import Iterable

from ...embeddings.base import EmbeddingModelInfo
from ...engine.base import ModelInfo
from ...engine.capabilities import Capability
from ...errors import ModelNotFound

_LATEST = ":latest"


def tagged(name: str) -> str:
    """The name as a list shows it."""
    return name if ":" in name else name + _LATEST


def untagged(name: str) -> str:
    """The name without the tag that Ollama adds to names that have none."""
    return name[: -len(_LATEST)] if name.lower().endswith(_LATEST) else name


def served_name(name: str | None, info: ModelInfo) -> str | None:
    """The name by which the engine knows the model that a client calls `name`. Another server has names of its own.

    Raises: ModelNotFound.
    """
    if name is None:
        return None
    if Capability.ANY_MODEL in info.capabilities:
        return untagged(name)
    if not is_called(name, info):
        raise not_found(name, (info.id, *info.aliases))
    return info.id


def is_called(name: str, info: ModelInfo | EmbeddingModelInfo) -> bool:
    """True if `name` is one of the model's."""
    return untagged(name).lower() in {untagged(known).lower() for known in (info.id, *info.aliases)}


def not_found(name: str, known: Iterable[str]) -> ModelNotFound:
    """The error, which begins with Ollama's own words."""
    names = ", ".join(map(repr, known))
    return ModelNotFound(f"model {name!r} not found; this server has {names} (see --alias)", param="model")
