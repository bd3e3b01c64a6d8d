"""A client's connection: uvicorn's HTTP protocol with a time limit for requests and a bound on connections."""

from __future__ import annotations

import asyncio
import http
import logging
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from ...errors import ChatGLMServerError, InvalidRequest, RequestTimeout, TooManyConnections
from ..errors import error_response

MAX_CONNECTIONS = 256
"""Connections that are open at the same time. The usual limit on a process's descriptors is 1,024."""

BACKLOG = 128
"""Connections that the system holds until they are accepted; asyncio accepts that many before any other is closed."""

SEND_BUFFER = 16_384
"""Bytes of a response that wait for the client in the server, and as many in the system."""

_log = logging.getLogger("chatglm_server.access")


class Connection(H11Protocol):
    """Closes a connection whose request does not arrive in time, and makes room for new connections.

    A connection waits from its start, or from the first byte of a further request, until that request's head is
    complete; `BodyLimits` watches over the body. (uvicorn itself ends connections that idle between two requests.)

    If `MAX_CONNECTIONS` are open, the one that has been without a complete request for longest gives way to the new
    one. So clients that begin requests and never finish them cannot keep others out. If all are being answered, the
    new connection's first request gets a 503.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        request_timeout_s: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._request_timeout_s = request_timeout_s
        self._timer: asyncio.TimerHandle | None = None
        self._began = self.loop.time()
        self._surplus = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        if len(self.connections) >= MAX_CONNECTIONS:
            waiting = [other for other in self.connections if isinstance(other, Connection) and not other._answering()]
            if waiting:
                min(waiting, key=lambda connection: connection._began)._give_way()
            else:
                self._surplus = True
        bound_unread(transport)
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._surplus:
            return self._refuse(TooManyConnections(f"{MAX_CONNECTIONS} connections are open; try again later"))
        return super().data_received(data)

    def handle_events(self) -> None:
        super().handle_events()
        self._watch()

    def _unsupported_upgrade_warning(self) -> None:
        """Nothing: a request for a WebSocket is answered as any other. uvicorn would advise to install a library."""

    def send_400_response(self, msg: str) -> None:
        """uvicorn's answer to bytes that are not HTTP, in the API's shape; none if a response has begun."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._refuse(InvalidRequest(msg))
        else:
            self.transport.close()

    def _answering(self) -> bool:
        """True if a request has arrived in full and its response has not gone out."""
        return self.cycle is not None and not self.cycle.response_complete and not self.cycle.more_body

    def _watch(self) -> None:
        """Run the timer while the head of a request is awaited."""
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._began = self.loop.time()
            self._timer = self.loop.call_later(self._request_timeout_s, self._time_out)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_out(self) -> None:
        self._timer = None
        limit = f"{self._request_timeout_s:g} seconds"
        self._close_unfinished(RequestTimeout(f"no complete request arrived within {limit} (--request-timeout-s)"))

    def _give_way(self) -> None:
        self.connections.discard(self)
        self._close_unfinished(
            RequestTimeout(f"more than {MAX_CONNECTIONS} connections are open; this one waited longest")
        )

    def _close_unfinished(self, error: RequestTimeout) -> None:
        """Close, with `error` as the answer where the client has sent a part of a request's head."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # the client does not read: close() would wait for it
        elif self.conn.our_state is h11.IDLE and self.conn.trailing_data[0] and not self.transport.is_closing():
            self._refuse(error)
        else:
            self.transport.close()

    def _refuse(self, error: ChatGLMServerError) -> None:
        """Answer with `error` and close."""
        _log.info("- - %s error=%s", error.status, error.code)
        response = error_response(error, "/")
        reason = http.HTTPStatus(error.status).phrase.encode()
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=error.status, headers=headers, reason=reason),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def bound_unread(transport: asyncio.WriteTransport) -> None:
    """Bound what is written to a client before it reads, here and in the system.

    The system's own buffer grows to megabytes: a whole answer would go into it, and no pause would ever come.
    """
    transport.set_write_buffer_limits(high=SEND_BUFFER)
    connected = transport.get_extra_info("socket")
    if sys.platform == "win32":  # which knows a bound of the whole buffer only, with what the client has not confirmed
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    else:
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, SEND_BUFFER)


def connections(request_timeout_s: float) -> Callable[..., Connection]:
    """Returns the factory that uvicorn makes connections with."""
    return partial(Connection, request_timeout_s=request_timeout_s)
