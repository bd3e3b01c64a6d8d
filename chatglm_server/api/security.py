"""What a request has to pass before the application sees it: its host name, its key, the size of its body."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import AuthenticationError, PermissionDenied, RequestTooLarge
from .errors import error_response

OPEN_PATHS = {"/health", "/openapi.json"}
LOCAL_ORIGINS = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?"
"""Origins of pages that this machine serves itself."""


class HostCheck:
    """Refuses requests under foreign host names.

    A page on the web can have its own name resolve to this machine (DNS rebinding) and so get around the browser's
    same-origin rule, but it cannot change the Host header. Addresses are names nobody can rebind.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = {"localhost", *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = _host_name(Headers(scope=scope).get("host", ""))
            if host not in self._names and not _is_address(host):
                error = PermissionDenied(
                    f"this server is not known as {host!r}; if it should be, start it with --allowed-host {host}",
                    param="Host",
                )
                return await error_response(error, scope["path"])(scope, receive, send)
        return await self._app(scope, receive, send)


class KeyCheck:
    """Asks for ``Authorization: Bearer KEY`` on every path but the open ones; one of `headers` may hold the key too."""

    def __init__(self, app: ASGIApp, key: str, headers: Iterable[str] = ()) -> None:
        self._app = app
        self._key = key.encode()
        self._headers = tuple(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            scheme, _, bearer = headers.get("authorization", "").partition(" ")
            keys = [bearer if scheme.lower() == "bearer" else "", *(headers.get(name, "") for name in self._headers)]
            key = next((given.strip() for given in keys if given.strip()), "")
            if not hmac.compare_digest(key.encode("latin-1", "replace"), self._key):
                what = "is wrong" if key else 'is missing: send "Authorization: Bearer KEY"'
                error = AuthenticationError(f"the API key {what}")
                return await error_response(error, scope["path"])(scope, receive, send)
        return await self._app(scope, receive, send)


class BodyLimit:
    """Stops reading a body once it is larger than `limit` bytes."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        length = Headers(scope=scope).get("content-length", "0")
        if length.isdigit() and int(length) > self._limit:
            return await error_response(self._error(), scope["path"])(scope, receive, send)
        received = 0

        async def limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                raise self._error()
            return message

        return await self._app(scope, limited, send)

    def _error(self) -> RequestTooLarge:
        return RequestTooLarge(f"the body is larger than {self._limit} bytes (--max-body-mb)")


def _host_name(header: str) -> str:
    """The name in a Host header: without port and brackets, in lower case."""
    header = header.strip().lower()
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0]


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
