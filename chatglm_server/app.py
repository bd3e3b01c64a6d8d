"""The web application: routes, middleware and one place where errors become responses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from . import __version__
from .api.access_log import AccessLog, request_record
from .api.body_limits import BodyLimits
from .api.cross_origin import CrossOrigin
from .api.drain import DrainBody
from .api.embeddings import embeddings_router
from .api.errors import InternalErrors, error_response
from .api.glm.routes import glm_router
from .api.health import health_router
from .api.models import models_router
from .api.openai.forwarding import forwarding_router
from .api.openai.routes import openai_router
from .api.pages import pages_router
from .api.paths import TypedPaths
from .api.security import HostCheck, KeyCheck
from .embeddings.base import Embedder
from .engine.base import Engine
from .errors import INTERNAL_ERROR, ChatGLMServerError, InvalidRequest, MethodNotAllowed, NotFound
from .settings import Settings


def create_app(settings: Settings, engine: Engine, embedder: Embedder | None = None) -> FastAPI:
    """The application around `engine` and `embedder`, which it loads in the background.

    ``app.state.loading`` is that task; ``app.state.stop`` is a function that ends what they are doing.
    """

    async def load() -> None:
        await engine.load()
        if embedder is not None:
            await embedder.load()

    def stop() -> None:
        engine.stop()
        if embedder is not None:
            embedder.stop()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.loading = asyncio.create_task(load())
        yield
        stop()
        await asyncio.gather(app.state.loading, return_exceptions=True)
        await engine.close()

    app = FastAPI(
        title="chatglm-server",
        version=__version__,
        summary="GLM models on a CPU, for OpenAI clients",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; see api/pages.py
        redoc_url=None,
        redirect_slashes=False,
        # KeyCheck asks for the key; this says so in the schema, for which the reference then has a field.
        dependencies=[] if settings.api_key is None else [Depends(HTTPBearer(auto_error=False))],
    )
    if engine.info.forwards == "no":
        app.include_router(openai_router(engine, settings.keep_alive_s, report_repairs=settings.report_repairs))
    else:
        app.include_router(forwarding_router(engine, settings.keep_alive_s, report_repairs=settings.report_repairs))
    app.include_router(models_router(engine))
    app.state.stop, app.state.embedder = stop, embedder
    app.include_router(glm_router(engine, embedder, settings.keep_alive_s))
    app.include_router(embeddings_router(embedder))
    app.include_router(health_router(engine, embedder))
    app.include_router(pages_router(engine))
    for kind in (ChatGLMServerError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _on_error)

    # The last one added is the first to see a request.
    app.add_middleware(InternalErrors)
    app.add_middleware(BodyLimits, limit=int(settings.max_body_mb * 1e6), seconds=settings.request_timeout_s)
    if settings.api_key is not None:
        app.add_middleware(KeyCheck, key=settings.api_key.get_secret_value())
    app.add_middleware(HostCheck, names=[settings.host, *settings.allowed_host])
    app.add_middleware(CrossOrigin, origins=settings.allowed_origin)
    app.add_middleware(TypedPaths)
    app.add_middleware(AccessLog)
    app.add_middleware(DrainBody)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    """Every error as OpenAI's error object."""
    known = _translated(request, error)
    request_record(request.scope).refuse(known)
    return error_response(known)


def _translated(request: Request, error: Exception) -> ChatGLMServerError:
    if isinstance(error, ChatGLMServerError):
        return error
    if isinstance(error, RequestValidationError):
        return _invalid(error)
    if isinstance(error, HTTPException):
        where = f"{request.method} {request.url.path}"
        if error.status_code == 404:
            return NotFound(f"there is no {where}; see /openapi.json for what there is")
        if error.status_code == 405:
            return MethodNotAllowed(f"{where} is not allowed; see /openapi.json for the methods there are")
        return InvalidRequest(str(error.detail))
    return ChatGLMServerError(INTERNAL_ERROR)


def _invalid(error: RequestValidationError) -> InvalidRequest:
    """The first of the validation errors, named as the client wrote the field."""
    first = error.errors()[0]
    path = ""
    for step in first["loc"][1:]:  # the first step is "body"
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in _UNION_TAGS and "[" not in step:
            path += f".{step}" if path else str(step)
    message = str(first["msg"]).removeprefix("Value error, ")
    return InvalidRequest(f"{path}: {message}" if path else message, param=path or None)


_UNION_TAGS = {"system", "developer", "user", "assistant", "tool", "str", "NamedChoice"}
"""Steps that pydantic adds to an error's place to say which member of a union it tried."""
