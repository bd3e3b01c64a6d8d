"""The endpoints that list the models, as OpenAI has them, and for Anthropic's clients as theirs does."""

from __future__ import annotations

from fastapi import APIRouter, Request

from ..engine.base import Engine
from ..errors import ModelNotFound
from .anthropic.models import anthropic_model, anthropic_models
from .anthropic.schemas import AnthropicModel, AnthropicModels
from .dialect import Json
from .known_names import known_names
from .openai.errors import ErrorBody
from .openai.objects import model_object
from .openai.schemas import ModelList, ModelObject

_ANTHROPIC = "anthropic-version"
"""The header that all of Anthropic's clients send."""


def models_router(engine: Engine) -> APIRouter:
    """``/v1/models``."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.get(
        "/models",
        summary="The models that requests may name",
        response_model=None,
        responses={200: {"model": ModelList | AnthropicModels}},
    )
    async def models(request: Request) -> Json:
        """Each with its context length, if that is known, and the names it has besides its id.

        Requests with the header `anthropic-version` get Anthropic's list.
        """
        known = await engine.models()
        if _ANTHROPIC in request.headers:
            return anthropic_models(known)
        return {"object": "list", "data": [model_object(info) for info in known]}

    @router.get(
        "/models/{model:path}",
        summary="One model",
        response_model=None,
        responses={200: {"model": ModelObject | AnthropicModel}},
    )
    async def model(request: Request, model: str) -> Json:
        """By id or alias."""
        known = await engine.models()
        for info in known:
            if info.is_called(model):
                return anthropic_model(info) if _ANTHROPIC in request.headers else model_object(info)
        raise ModelNotFound(f"the model {model!r} does not exist; there is {known_names(known)}", param="model")

    return router
