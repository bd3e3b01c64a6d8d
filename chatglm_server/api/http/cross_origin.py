"""CORS: headers for web pages of allowed origins, an error that names the option for others."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...errors import OriginNotAllowed
from ..errors import refuse
from .access_log import request_record

_LOCAL = re.compile(r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
"""Origins of pages that this machine serves itself."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,30}://[a-z0-9.:_\[\]-]{1,100}", re.IGNORECASE)
"""The origins that the log shows: a scheme, a host and a port."""


class CrossOrigin:
    """Answers preflights and adds the CORS headers.

    A request from an origin that is not allowed still runs: the browser keeps the answer from the page, and programs
    that send an origin without being a browser go on working. A preflight from such an origin is refused, so the page
    never gets to send JSON. Source: https://fetch.spec.whatwg.org/#http-cors-protocol and, for requests from a public
    page to this machine, https://wicg.github.io/private-network-access/.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str]) -> None:
        self._app = app
        self._origins = frozenset(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        allowed = origin is not None and self._allows(origin)
        own = origin is not None and origin.partition("://")[2] == headers.get("host")  # this server's own page
        if origin is not None and not allowed and not own:
            request_record(scope).notes["blocked_origin"] = f'"{_loggable(origin)}; see --allowed-origin"'
        if origin is not None and scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            if not allowed:
                return await refuse(_error(origin), scope, receive, send)
            return await _preflight_answer(origin, headers)(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                response_headers = MutableHeaders(scope=message)
                response_headers.add_vary_header("Origin")
                if origin is not None and allowed:
                    response_headers["Access-Control-Allow-Origin"] = origin
            await send(message)

        return await self._app(scope, receive, with_headers)

    def _allows(self, origin: str) -> bool:
        return "*" in self._origins or origin in self._origins or _LOCAL.fullmatch(origin) is not None


def _preflight_answer(origin: str, asked: Headers) -> Response:
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Methods": "GET, POST",
        "Access-Control-Allow-Headers": asked.get("access-control-request-headers", "*"),
        "Access-Control-Max-Age": "600",
        "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network",
    }
    if asked.get("access-control-request-private-network") == "true":
        headers["Access-Control-Allow-Private-Network"] = "true"
    return Response("OK", headers=headers, media_type="text/plain")


def _error(origin: str) -> OriginNotAllowed:
    shown = _loggable(origin)
    return OriginNotAllowed(
        f"pages of {shown} may not call this server; if they should, start it with --allowed-origin {shown}",
        param="Origin",
    )


def _loggable(origin: str) -> str:
    """The origin, if it looks like one: it cannot forge a log line."""
    return origin if _ORIGIN.fullmatch(origin) else "null" if origin == "null" else "(malformed)"
