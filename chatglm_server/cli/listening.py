"""The sockets that the server listens on, and an error that helps if it cannot."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import socket
import sys

import psutil

from ..api.http.connection import BACKLOG

_TRIED_PORTS = 50
_TIMEOUT_S = 1.0
_MAX_HEALTH_BYTES = 65_536
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # compared with, not bound to
_NO_SUCH_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


def listen(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for each address that `host` has, all on one port.

    Raises: CannotListen.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"--host {host}: {error.strerror if isinstance(error, OSError) else error}") from None
    addresses = sorted({(family, address[0]) for family, _, _, _, address in found})
    sockets: list[socket.socket] = []
    for number, (family, address) in enumerate(addresses):
        try:
            listening = _listening_socket(family, str(address), port)
        except OSError as error:
            more = number + 1 < len(addresses) or bool(sockets)
            if error.errno in _NO_SUCH_FAMILY and more:  # localhost has an IPv6 address where IPv6 is off
                continue
            for other in sockets:
                other.close()
            raise CannotListen(_explanation(error, host, str(address), port)) from None
        sockets.append(listening)
        port = port or listening.getsockname()[1]
    return sockets


def _listening_socket(family: int, address: str, port: int) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform == "win32":  # where SO_REUSEADDR takes a port that another program listens on
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((address, port))
        listening.listen(BACKLOG)  # binding alone does not claim the port
    except BaseException:
        listening.close()
        raise
    return listening


def _explanation(error: OSError, host: str, address: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        free = _next_free_port(address, port)
        advice = f"; try --port {free}" if free else ""
        return f"--port {port}: {_listener(address, port)} listens on port {port} of {host} already{advice}"
    if error.errno == errno.EACCES:
        return f"--port {port}: ports below 1024 need a privilege; try --port 8000"
    return f"--host {host}: {error.strerror}"


def _listener(address: str, port: int) -> str:
    """The program that listens there: another server of this kind says so in its /health, others have a name."""
    name, process = _process(port)
    connection = http.client.HTTPConnection(_EVERYWHERE.get(address, address), port, timeout=_TIMEOUT_S)
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError), contextlib.closing(connection):
        connection.request("GET", "/health", headers={"Host": "localhost"})
        health = json.loads(connection.getresponse().read(_MAX_HEALTH_BYTES))
        if isinstance(health, dict) and {"status", "model", "queue"} <= health.keys():
            return f"another chatglm-server with the model {str(health['model'])[:100]!r}{process}"
    return f"{name}{process}"


def _process(port: int) -> tuple[str, str]:
    """The name of the program that listens on `port`, and " (process NUMBER)", if this user may know them."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            here = connection.status == psutil.CONN_LISTEN and getattr(connection.laddr, "port", None) == port
            if here and connection.pid is not None:
                return psutil.Process(connection.pid).name(), f" (process {connection.pid})"
    return "another program", ""


def _next_free_port(address: str, port: int) -> int | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for candidate in range(port + 1, min(port + 1 + _TRIED_PORTS, 65536)):
        with contextlib.suppress(OSError):
            _listening_socket(family, address, candidate).close()
            return candidate
    return None
