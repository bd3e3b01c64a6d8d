"""The state of the server, for people, scripts and supervisors. It needs no key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from ..service import Service


def health_router(service: Service) -> APIRouter:
    """``GET /health``."""
    engine, embedder = service.engine, service.embedder
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="State of the server")
    async def health() -> JSONResponse:
        """503 while the first model loads, then 200: the models, their queues, how far prompts are read, drafts,
        prefixes on disk, and what is wrong with a backend. `"loaded": false`: the next request loads the model again.
        """
        status = await engine.status()
        ready = status.ready
        state: dict[str, Any] = {"status": "", "model": engine.info.id}
        if ready and not status.loaded:
            state["loaded"] = False
        if status.backend is not None:
            state["upstream"] = status.backend
        state["queue"] = status.queue
        if status.reading:
            state["reading"] = status.reading
        if status.drafts is not None:
            state["drafts"] = status.drafts
        if status.kv_disk is not None:
            state["kv_disk"] = status.kv_disk
        if status.models:
            state["models"] = [
                {"model": name, "loaded": one.loaded, "queue": one.queue} for name, one in status.models.items()
            ]
        if embedder is not None:
            own = embedder.status()
            ready = ready and own.ready
            state["embeddings"] = {"model": embedder.info.id, "queue": own.queue}
        state["status"] = "ok" if ready else "loading"
        if ready and status.problem is not None:
            state |= {"status": "degraded", "problem": status.problem}
        return JSONResponse(state, 200 if ready else 503)

    return router
