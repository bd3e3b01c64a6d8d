"""Pages for people with a browser, and the files that they load. Nothing on them comes from elsewhere."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, Response

from ..errors import NotFound
from .web_files import WEB_FILES

_CHAT = WEB_FILES["/web/chat.html"]
_STATUS = WEB_FILES["/web/status.html"]

_FOR_OLLAMA = "Ollama is running"
"""What Ollama's clients want to read at the root; browsers ask for ``text/html``."""


def pages_router() -> APIRouter:
    """``GET /``, the chat (also at ``/v1``, which people open by mistake), ``GET /status``, and the files
    below ``/web``.
    """
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def root(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return PlainTextResponse(_FOR_OLLAMA)
        return await chat(request)

    @router.get("/v1")
    async def chat(request: Request) -> Response:
        return _CHAT.response(request)

    @router.get("/status")
    async def status(request: Request) -> Response:
        return _STATUS.response(request)

    @router.get("/web/{name:path}")
    async def file(request: Request, name: str) -> Response:
        found = WEB_FILES.get(f"/web/{name}")
        if found is None:
            raise NotFound("no file has this path; the chat page is at /")
        return found.response(request)

    return router
