"""The one place that reads a path as it was typed by hand: doubled slashes, a missing or repeated /v1, HEAD."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = re.compile(r"/+(?:v1/+)*")
"""The prefix of an endpoint's own path: slashes, and /v1 once or several times."""

_WITHOUT_V1 = frozenset({"/chat/completions", "/completions", "/embeddings", "/responses"})
"""OpenAI paths that clients ask for if their base URL lacks /v1. ``/models`` is not one: it belongs to GLM-API."""

_VERBATIM = "/v1/models/"
"""Below it follows a model's name, which may hold any slashes."""


class TypedPaths:
    """Gives the application the path that the client means, and HEAD as GET.

    The server below sends no body in answer to HEAD: it goes by the scope it made, which stays as it is.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope = {**scope, "path": canonical_path(scope["path"])}
            if scope["method"] == "HEAD":
                scope["method"] = "GET"
        await self._app(scope, receive, send)


def canonical_path(path: str) -> str:
    """The path that a route has, for each spelling that clients are known to send; any other path as it is."""
    prefix = _PREFIX.match(path)
    if prefix is None:
        return path
    path = ("/v1/" if "v1" in prefix[0] else "/") + path[prefix.end() :]
    if path == _VERBATIM or not path.startswith(_VERBATIM):
        path = path.rstrip("/") or "/"
    return f"/v1{path}" if path in _WITHOUT_V1 else path
