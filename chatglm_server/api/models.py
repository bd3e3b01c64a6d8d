"""OpenAI's endpoints that list the models."""

from __future__ import annotations

from fastapi import APIRouter

from ..engine.base import Engine
from ..errors import ModelNotFound
from .dialect import Json
from .openai.errors import ErrorBody
from .openai.objects import model_object
from .openai.schemas import ModelList, ModelObject

_MAX_NAMED = 20


def models_router(engine: Engine) -> APIRouter:
    """``/v1/models``."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.get("/models", summary="The models that requests may name", responses={200: {"model": ModelList}})
    async def models() -> Json:
        """Each with its context length, if that is known, and the names it has besides its id."""
        return {"object": "list", "data": [model_object(info) for info in await engine.models()]}

    @router.get("/models/{model:path}", summary="One model", responses={200: {"model": ModelObject}})
    async def model(model: str) -> Json:
        """By id or alias."""
        known = await engine.models()
        for info in known:
            if model in (info.id, *info.aliases):
                return model_object(info)
        names = [name for info in known for name in (info.id, *info.aliases)]
        named = ", ".join(map(repr, names[:_MAX_NAMED])) + (", …" if len(names) > _MAX_NAMED else "")
        raise ModelNotFound(f"the model {model!r} does not exist; there is {named}", param="model")

    return router
