"""One line a request: what was asked for, how it went and how fast. Never what was said."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..chat import Accepted, Event, Finish, Usage

_log = logging.getLogger("chatglm_server.access")


@dataclass(slots=True)
class RequestRecord:
    """What a route notes about its request. Times are of `time.perf_counter`."""

    started: float = field(default_factory=time.perf_counter)
    first_token: float | None = None
    ended: float | None = None
    notes: dict[str, object] = field(default_factory=dict)
    usage: Usage | None = None

    def note(self, event: Event) -> None:
        """Take the times and counts from an answer's events. Mutates the record."""
        if isinstance(event, Finish):
            self.ended = time.perf_counter()
            self.usage = event.usage if self.usage is None else self.usage + event.usage
        elif self.first_token is None and not isinstance(event, Accepted):
            self.first_token = time.perf_counter()

    def summary(self) -> str:
        """The record as ``name=value`` pairs."""
        parts = [f"{name}={value}" for name, value in self.notes.items()]
        if self.usage is not None:
            parts.append(f"prompt={self.usage.prompt_tokens} cached={self.usage.cached_tokens}")
            parts.append(f"completion={self.usage.completion_tokens}")
        if self.first_token is not None:
            parts.append(f"first_token={self.first_token - self.started:.2f}s")
        if self.usage is not None and self.first_token is not None and self.ended is not None:
            seconds = self.ended - self.first_token
            if self.usage.completion_tokens > 1 and seconds > 0:
                parts.append(f"speed={(self.usage.completion_tokens - 1) / seconds:.1f}tok/s")
        return " ".join(parts)


class AccessLog:
    """Logs every request once it is over; routes find its `RequestRecord` in ``request.state.record``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        record = RequestRecord()
        scope.setdefault("state", {})["record"] = record
        status, whole = 0, False

        async def noted(message: Message) -> None:
            nonlocal status, whole
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)
            whole = message["type"] == "http.response.body" and not message.get("more_body", False)

        try:
            return await self._app(scope, receive, noted)
        finally:
            seconds = time.perf_counter() - record.started
            path = quote(scope["path"][:200])  # percent-encoded: a path cannot forge a log line
            outcome = f"{status}" if whole else f"{status or '-'} cut off"
            _log.info("%s %s %s %.2fs %s", scope["method"], path, outcome, seconds, record.summary())
