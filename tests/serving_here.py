"""A real server in a thread of this process: it has what the test has put into the tables of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from chatglm_server.app import create_app
from chatglm_server.loader import load_engine
from chatglm_server.service import Service
from chatglm_server.settings import Settings


@contextmanager
def serving(settings: Settings, *, waits: bool = True) -> Iterator[tuple[str, Service]]:
    """A server in a thread of this process, so that it has the dialects of this process. Unless it `waits`, it may
    still be loading its model.
    """
    service = Service(load_engine(settings))
    server = uvicorn.Server(uvicorn.Config(create_app(settings, service), port=0, log_config=None))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not (server.started and (service.start().done() or not waits)):
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", service
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
