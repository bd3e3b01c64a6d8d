"""Checks before a request is read: is the host name one of this server's, and is the key right."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ...errors import AuthenticationError, PermissionDenied
from ..errors import refuse

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


class KeyCheck:
    """Asks for the key on each path that is not in `open_paths`.

    Clients send it as ``Authorization: Bearer KEY``, or alone in one of `headers`.
    """

    def __init__(self, app: ASGIApp, key: str, open_paths: frozenset[str], headers: Iterable[str] = ()) -> None:
        self._app = app
        self._key = key.encode()
        self._open_paths = open_paths
        self._headers = tuple(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._open_paths:
            given = self._given_key(Headers(scope=scope))
            if not hmac.compare_digest(given.encode("latin-1", "replace"), self._key):
                what = "is wrong" if given else 'is missing: send "Authorization: Bearer KEY"'
                return await refuse(AuthenticationError(f"the API key {what}"), scope, receive, send)
        return await self._app(scope, receive, send)

    def _given_key(self, headers: Headers) -> str:
        """The first key that the client sent; "" if it sent none."""
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        keys = [bearer if scheme.lower() == "bearer" else "", *(headers.get(name, "") for name in self._headers)]
        return next((key.strip() for key in keys if key.strip()), "")


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
