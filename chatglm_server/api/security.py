"""Checks before a request is read: is the host name one of this server's, and is the key right."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import AuthenticationError, PermissionDenied
from .errors import refuse
from .pages import ASSETS

OPEN_PATHS = frozenset({"/", "/v1", "/docs", "/openapi.json", "/health", *ASSETS})
"""Paths that need no key: they show the API and the server's state, nothing of its users."""

_LOCAL_NAMES = frozenset({"localhost", "host.docker.internal", "host.containers.internal"})
"""Names for this machine, from itself and from its containers. No web page can own them: .internal is reserved."""


class HostCheck:
    """Refuses requests under foreign host names.

    A page on the web can have its own name resolve to this machine (DNS rebinding) and so get around the browser's
    same-origin rule, but it cannot change the Host header. An IP address cannot be rebound, so any is allowed.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str]) -> None:
        self._app = app
        self._names = _LOCAL_NAMES | {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = _host_name(Headers(scope=scope).get("host", ""))
            if host not in self._names and not _is_address(host):
                error = PermissionDenied(
                    f"this server is not known as {host!r}; if it should be, start it with --allowed-host {host}",
                    param="Host",
                )
                return await refuse(error, scope, receive, send)
        return await self._app(scope, receive, send)


def bearer_key(headers: Headers) -> str | None:
    """The key in ``Authorization: Bearer KEY``; None if there is no such header."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else None


class KeyCheck:
    """Asks for the key on each path but the open ones. `read_key` takes it from a request's headers."""

    def __init__(self, app: ASGIApp, key: str, read_key: Callable[[Headers], str | None] = bearer_key) -> None:
        self._app = app
        self._key = key.encode()
        self._read_key = read_key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            given = self._read_key(Headers(scope=scope))
            if not hmac.compare_digest((given or "").encode("latin-1", "replace"), self._key):
                what = "is wrong" if given else 'is missing: send "Authorization: Bearer KEY"'
                return await refuse(AuthenticationError(f"the API key {what}"), scope, receive, send)
        return await self._app(scope, receive, send)


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
