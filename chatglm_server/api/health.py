"""The state of the server, for people, scripts and supervisors. It needs no key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from ..queueing.status import (
    BackendStatus,
    CacheStatus,
    DiskStatus,
    DraftStatus,
    QueueStatus,
    ReadingStatus,
    TokenStatus,
)
from ..service import Service
from .answer_model import AnswerModel


class ModelState(AnswerModel):
    """One of several models."""

    model: str
    loaded: bool
    queue: QueueStatus


class EmbeddingState(AnswerModel):
    """The embedding model."""

    model: str
    queue: QueueStatus


class Health(AnswerModel):
    """The state of the server. What does not apply is left out.

    `loaded` is false if the next request loads the model again. `upstream` is the server that requests go on to, and
    `problem` what is wrong with it. `upstreams` has each of several servers. `reading` has the prompts that are being
    read.
    """

    status: Literal["ok", "loading", "degraded"]
    model: str
    loaded: Literal[False] | None = None
    upstream: str | None = None
    upstreams: Sequence[BackendStatus] | None = None
    queue: QueueStatus
    estimated_wait_s: float | None = None
    reading: Sequence[ReadingStatus] | None = None
    tokens: TokenStatus | None = None
    kv_cache: CacheStatus | None = None
    drafts: DraftStatus | None = None
    kv_disk: DiskStatus | None = None
    models: list[ModelState] | None = None
    embeddings: EmbeddingState | None = None
    problem: str | None = None


def health_router(service: Service) -> APIRouter:
    """``GET /health``."""
    engine, embedder = service.engine, service.embedder
    router = APIRouter(tags=["health"])
    loading = Health(status="loading", model=engine.info.id, queue={"running": 0, "waiting": 0, "max": 0})
    example = {"while the model is loaded": {"value": loading.model_dump(exclude_none=True)}}
    not_yet = {"model": Health, "description": "not yet", "content": {"application/json": {"examples": example}}}

    @router.get("/health", summary="State of the server", responses={200: {"model": Health}, 503: not_yet})
    async def health() -> JSONResponse:
        """503 while the first model loads, then 200: the models, their queues, the estimated wait, how far prompts are
        read, tokens since the start, the KV cache, drafts, prefixes on disk, and what is wrong with a backend.
        """
        status = await engine.status()
        ready = status.ready
        embeddings = None
        if embedder is not None:
            own = embedder.status()
            ready = ready and own.ready
            embeddings = EmbeddingState(model=embedder.info.id, queue=own.queue)
        problem = status.problem if ready else None
        state = Health(
            status="loading" if not ready else "ok" if problem is None else "degraded",
            model=engine.info.id,
            loaded=False if status.ready and not status.loaded else None,
            upstream=status.backend,
            upstreams=status.backends if len(status.backends) > 1 else None,
            queue=status.queue,
            estimated_wait_s=None if status.wait_s is None else round(status.wait_s, 2),
            reading=status.reading or None,
            tokens=status.tokens,
            kv_cache=status.kv_cache,
            drafts=status.drafts,
            kv_disk=status.kv_disk,
            models=[ModelState(model=name, loaded=one.loaded, queue=one.queue) for name, one in status.models.items()]
            or None,
            embeddings=embeddings,
            problem=problem,
        )
        return JSONResponse(state.model_dump(exclude_none=True), 200 if ready else 503)

    return router
