"""The web application: routes, middleware and one place where errors become responses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from . import __version__
from .api.api_schema import DocumentedAPI
from .api.dialect import Options
from .api.dialects import DIALECTS
from .api.embeddings import embeddings_router
from .api.errors import InternalErrors, error_response
from .api.health import health_router
from .api.http.access_log import AccessLog, request_record
from .api.http.body_limits import BodyLimits
from .api.http.cross_origin import CrossOrigin
from .api.http.drain import DrainBody
from .api.http.paths import TypedPaths
from .api.http.security import HostCheck, KeyCheck
from .api.metrics import Metrics, metrics_router
from .api.models import models_router
from .api.pages import pages_router
from .api.reference import ASSETS, reference_router
from .api.rendering import rendering_router
from .api.validation import invalid_request
from .api.web_files import WEB_FILES
from .errors import INTERNAL_ERROR, ChatGLMServerError, InvalidRequest, MethodNotAllowed, NotFound
from .markdown.renderer import Renderer
from .service import Service
from .settings import Settings

OPEN_PATHS = frozenset({"/", "/v1", "/status", "/docs", "/openapi.json", "/health", *ASSETS, *WEB_FILES})
"""Paths that need no key: they show the API and the server's state, nothing of its users."""


def create_app(settings: Settings, service: Service) -> FastAPI:
    """The application around `service`, whose models it loads in the background."""
    renderer = Renderer()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await renderer.close()
        await service.close()

    app = DocumentedAPI(
        title="chatglm-server",
        version=__version__,
        summary="GLM models on a CPU, for OpenAI clients",
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from elsewhere; see api/reference.py
        redoc_url=None,
        redirect_slashes=False,
        # KeyCheck asks for the key; this says so in the schema, for which the reference then has a field.
        dependencies=[] if settings.api_key is None else [Depends(HTTPBearer(auto_error=False))],
    )
    options = Options(settings.keep_alive_s, settings.report_repairs, settings.any_model, settings.max_wait_s)
    for dialect in DIALECTS:
        app.include_router(dialect.router(service, options))
    app.include_router(models_router(service.engine))
    app.include_router(embeddings_router(service.embedder))
    app.include_router(health_router(service))
    app.include_router(pages_router())
    app.include_router(rendering_router(renderer))
    app.include_router(reference_router())
    metrics = Metrics(service) if settings.metrics else None
    if metrics is not None:
        app.include_router(metrics_router(metrics))
    for kind in (ChatGLMServerError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, _on_error)

    # The last one added is the first to see a request.
    app.add_middleware(InternalErrors)
    app.add_middleware(BodyLimits, limit=int(settings.max_body_mb * 1e6), seconds=settings.request_timeout_s)
    if settings.api_key is not None:
        headers = {dialect.key_header for dialect in DIALECTS if dialect.key_header is not None}
        app.add_middleware(KeyCheck, key=settings.api_key.get_secret_value(), open_paths=OPEN_PATHS, headers=headers)
    app.add_middleware(HostCheck, names=[settings.host, *settings.allowed_host])
    app.add_middleware(CrossOrigin, origins=settings.allowed_origin)
    app.add_middleware(TypedPaths)
    app.add_middleware(AccessLog, noted=metrics.note if metrics is not None else None)
    app.add_middleware(DrainBody)
    return app


async def _on_error(request: Request, error: Exception) -> Response:
    """Every error, in the dialect that the path belongs to. The log line says why."""
    known = _translated(request, error)
    request_record(request.scope).refuse(known)
    return error_response(known, request.url.path)


def _translated(request: Request, error: Exception) -> ChatGLMServerError:
    if isinstance(error, ChatGLMServerError):
        return error
    if isinstance(error, RequestValidationError):
        problems = [{**problem, "loc": problem["loc"][1:]} for problem in error.errors()[:1]]  # the first is "body"
        return invalid_request(problems)
    if isinstance(error, HTTPException):
        where = f"{request.method} {request.url.path}"
        if error.status_code == 404:
            return NotFound(f"there is no {where}; see /openapi.json for what there is")
        if error.status_code == 405:
            return MethodNotAllowed(f"{where} is not allowed; see /openapi.json for the methods there are")
        return InvalidRequest(str(error.detail))
    return ChatGLMServerError(INTERNAL_ERROR)
