"""Anthropic's objects of models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from ...engine.base import ModelInfo
from ..dialect import Json


def anthropic_models(infos: Sequence[ModelInfo]) -> Json:
    """The list of all models: its first page is its last."""
    data = [anthropic_model(info) for info in infos]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def anthropic_model(info: ModelInfo) -> Json:
    """A model. Its lengths are null if they are not known."""
    return {
        "type": "model",
        "id": info.id,
        "display_name": info.id,
        "created_at": datetime.fromtimestamp(info.created, timezone.utc).isoformat().replace("+00:00", "Z"),
        "lifecycle": "active",
        "max_input_tokens": info.context_length or None,
        "max_tokens": info.context_length or None,
    }
