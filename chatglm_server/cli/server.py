"""The running server: uvicorn with our start-up lines and a shutdown that ends answers properly."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ..api.http.connection import BACKLOG, connections
from ..errors import ModelFileError, ShuttingDown
from ..service import Service
from .announcement import Announce

_GRACE_S = 15  # for open connections, once their answers were ended


class Server(uvicorn.Server):
    """Serves until it is told to stop; `failed` says that a model could not be loaded."""

    def __init__(self, app: FastAPI, service: Service, request_timeout_s: float, announce: Announce) -> None:
        self._service = service
        self._announce = announce
        self.failed = False
        super().__init__(
            uvicorn.Config(
                app,
                backlog=BACKLOG,
                loop="asyncio",  # also where uvloop is installed: one loop is tested
                http=connections(request_timeout_s),  # type: ignore[arg-type]  # uvicorn only calls it
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce.start(self._url())
            self._service.start().add_done_callback(self._loaded)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal: answers end with an error event first, so that uvicorn need not cut their connections."""
        self._service.stop()
        super().handle_exit(sig, frame)
        if self.force_exit:  # a second Ctrl-C; what uvicorn then cancels, it would log with tracebacks
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    def _url(self) -> str:
        address = self.servers[0].sockets[0].getsockname()
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        return f"http://{host}:{address[1]}"

    def _loaded(self, loading: asyncio.Task[None]) -> None:
        if loading.cancelled():
            return
        error = loading.exception()
        if error is None:
            self._announce.ready()
        if error is None or isinstance(error, ShuttingDown):
            return
        self.failed = True
        self.should_exit = True
        message = error.message if isinstance(error, ModelFileError) else repr(error)
        print(f"error: {message}", file=sys.stderr, flush=True)


def serve(
    app: FastAPI, service: Service, sockets: list[socket.socket], request_timeout_s: float, announce: Announce
) -> int:
    """Serve on listening sockets until SIGINT or SIGTERM. Returns the process's exit status.

    `announce` says where it listens, and that it is ready. A client may take `request_timeout_s` to send a request's
    head.
    """
    # uvicorn raises the signal again once it is done; by then it has been obeyed.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    server = Server(app, service, request_timeout_s, announce)
    server.run(sockets)
    return 1 if server.failed or not server.started else 0
