"""Ollama's endpoints."""

from __future__ import annotations

import time
from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from ... import __version__
from ...embeddings.base import EmbeddingModelInfo
from ...engine.base import ModelInfo
from ...errors import NotReady, NotSupported
from ...service import Service
from ..dialect import Json
from ..endpoint import Endpoint, unless_disconnected
from ..http.body import UndeclaredJsonRoute
from .answers import ChatAnswer, GenerateAnswer
from .bodies import ChatBody, GenerateBody, NamedBody
from .embeddings import add_embedding_routes
from .models import listed, running, shown
from .names import not_found
from .schemas import (
    ChatLine,
    GenerateLine,
    ListedModels,
    OllamaErrorBody,
    PullStatus,
    RunningModels,
    ShownModel,
    VersionObject,
)

VERSION = "0.32.3"
"""The version of Ollama whose API this is. Clients refuse what does not look like a recent one."""

_NOT_HERE = "this server serves the models that it was started with; use the command chatglm-server for others"


def ollama_router(endpoint: Endpoint, service: Service) -> APIRouter:
    """The routes below ``/api``. Ollama's clients and its documentation's curl do not say that they send JSON."""
    engine = service.engine
    kinds: dict[int | str, dict[str, object]] = {"4XX": {"model": OllamaErrorBody}}
    router = APIRouter(prefix="/api", route_class=UndeclaredJsonRoute, tags=["Ollama"], responses=kinds)

    @router.post("/chat", summary="Answer a conversation, as Ollama does", responses={200: {"model": ChatLine}})
    async def chat(request: Request, body: ChatBody) -> Response:
        """As lines of JSON, or whole with `"stream": false`. A call comes whole, in one line."""

        def shape(model: str) -> ChatAnswer:
            return ChatAnswer(body.asked or model, started, shows_thoughts=body.shows_thoughts)

        started = time.perf_counter()
        info = await served(body)
        if not body.messages:
            return await unless_disconnected(request, kept(body, shape(info.id)))
        return await endpoint.answer(request, body.to_request(info), shape, body.field_of)

    @router.post("/generate", summary="Answer a prompt, as Ollama does", responses={200: {"model": GenerateLine}})
    async def generate(request: Request, body: GenerateBody) -> Response:
        """As lines of JSON, or whole with `"stream": false`."""

        def shape(model: str) -> GenerateAnswer:
            return GenerateAnswer(body.asked or model, started, shows_thoughts=body.shows_thoughts)

        started = time.perf_counter()
        info = await served(body)
        if not body.prompt and not body.suffix:
            return await unless_disconnected(request, kept(body, shape(info.id)))
        return await endpoint.answer(request, body.to_request(info), shape, body.field_of)

    async def served(body: NamedBody) -> ModelInfo:
        """The model that answers. Raises: ModelNotFound, ModelFileError."""
        found = engine.info if body.asked is None else await engine.find(body.asked)
        if found is None:
            raise not_found(body.asked or "", await engine.models())
        return found

    async def kept(body: ChatBody | GenerateBody, shape: ChatAnswer) -> Response:
        """Loads the model, or unloads it, and says so."""
        if not (await engine.status()).ready:
            raise NotReady("the model is still being loaded; try again in a few seconds")
        await engine.keep(body.asked, body.keep_alive_s)
        return JSONResponse(shape.nothing("unload" if body.keep_alive_s == 0 else "load"))

    @router.get(
        "/version",
        summary="The version of Ollama whose API this is",
        response_model=None,
        responses={200: {"model": VersionObject}},
    )
    async def version() -> Json:
        return {"version": VERSION, "chatglm_server": __version__}

    @router.get(
        "/tags",
        summary="The models, as Ollama lists them",
        response_model=None,
        responses={200: {"model": ListedModels}},
    )
    async def tags() -> Json:
        return {"models": [listed(info) for info in await models()]}

    @router.get(
        "/ps",
        summary="The models in memory, as Ollama lists them",
        response_model=None,
        responses={200: {"model": RunningModels}},
    )
    async def ps() -> Json:
        status = await engine.status()
        if not status.ready:
            return {"models": []}
        known = await engine.models()
        states = status.models or {info.id: status for info in known}
        loaded = [info for info in known if info.id in states and states[info.id].loaded]
        embedder = [] if service.embedder is None else [running(service.embedder.info)]
        return {"models": [*(running(info, states[info.id].unloads_in_s) for info in loaded), *embedder]}

    @router.post("/show", summary="What a model is", response_model=None, responses={200: {"model": ShownModel}})
    async def show(body: NamedBody) -> Json:
        return shown(await named(body))

    @router.post(
        "/pull",
        summary="Succeeds for the models that are here",
        response_model=None,
        responses={200: {"model": PullStatus}},
    )
    async def pull(body: NamedBody) -> Json:
        await named(body)
        return {"status": "success"}

    async def models() -> Sequence[ModelInfo | EmbeddingModelInfo]:
        return [*await engine.models(), *([service.embedder.info] if service.embedder is not None else [])]

    async def named(body: NamedBody) -> ModelInfo | EmbeddingModelInfo:
        """The model that the client means. Raises: ModelNotFound."""
        known = await models()
        for info in known:
            if body.asked is None or info.is_called(body.asked):
                return info
        raise not_found(body.asked or "", known)

    add_embedding_routes(router, service.embedder)
    router.include_router(_refused())
    return router


def _refused() -> APIRouter:
    """The routes that change what models there are. Their bodies, which may be files, are not read."""
    router = APIRouter(include_in_schema=False)

    @router.post("/create")
    @router.post("/copy")
    @router.post("/push")
    @router.delete("/delete")
    @router.get("/blobs/{digest}")
    @router.post("/blobs/{digest}")
    async def refuse() -> None:
        raise NotSupported(_NOT_HERE)

    return router
