"""OpenAI's endpoints for what there is to choose from."""

from __future__ import annotations

from fastapi import APIRouter

from ..engine.base import Engine
from ..errors import ModelNotFound
from .openai.chunks import Json, model_object
from .openai.conversation import ErrorBody


def models_router(engine: Engine) -> APIRouter:
    """``/v1/models``."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.get("/models", summary="The models that requests may name")
    async def models() -> Json:
        """Each with its context length, where that is known, and the names it has besides its id."""
        return {"object": "list", "data": [model_object(info) for info in await engine.models()]}

    @router.get("/models/{model:path}", summary="One model")
    async def model(model: str) -> Json:
        """By id or alias."""
        if engine.info.forwards == "no":
            check_model(engine, model)
            return model_object(engine.info)
        for info in await engine.models():
            if info.id == model:
                return model_object(info)
        raise ModelNotFound(f"the backend has no model {model!r}", param="model")

    return router


def check_model(engine: Engine, name: str | None) -> None:
    """Raises: ModelNotFound. A request without a model means the one there is."""
    info = engine.info
    if name is not None and name not in (info.id, *info.aliases):
        known = ", ".join(map(repr, (info.id, *info.aliases)))
        raise ModelNotFound(f"the model {name!r} does not exist; this server has {known} (see --alias)", param="model")
