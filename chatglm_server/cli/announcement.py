"""How a server says that it starts and is ready: lines on stdout, or in a log of JSON."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from .. import __version__
from .start_lines import Lines
from .wrapped_text import wrapped

_log = logging.getLogger("chatglm_server")


class Announce(Protocol):
    """Says where the server listens, and when it answers."""

    def start(self, url: str) -> None: ...
    def ready(self) -> None: ...


class PrintedAnnouncement:
    """For people, and programs that wait for the line "ready"."""

    def __init__(self, lines: Callable[[str], Lines]) -> None:
        """`lines` are those for the server's address."""
        self._lines = lines

    def start(self, url: str) -> None:
        print(f"chatglm-server {__version__}")
        for name, text in self._lines(url):
            print(wrapped(text, f"  {name:<6} "), flush=name == "stop")

    def ready(self) -> None:
        print("ready", flush=True)


class LoggedAnnouncement:
    """For a log whose every line is JSON."""

    def __init__(self, lines: Callable[[str], Lines]) -> None:
        self._lines = lines

    def start(self, url: str) -> None:
        _log.info("chatglm-server %s", __version__, extra={"start": dict(self._lines(url))})

    def ready(self) -> None:
        _log.info("ready")
