"""One line a request: what it asked for, how it went and how fast. Never what a user or a model wrote."""

from __future__ import annotations

import logging
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import quote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...chat import Event, Finish, PromptRead, Timings, ToolCallAbandoned, ToolCallRepaired, ToolCallStart, Usage
from ...errors import ChatGLMServerError

_MAX_CALLS = 16
_NEWS_S = 10.0  # between lines about a prompt that is being read
_FIELD = re.compile(r"[A-Za-z_-]{1,40}(\[\d{1,6}\]|\.[A-Za-z_]{1,40}){0,8}")
"""The fields that the log shows: names and positions. A client's text cannot stand there."""

_ROUTINE = re.compile(r"/render|/health|/metrics|/web/.*")
"""Paths that a page or a monitor asks for again and again: the log shows them only if something is wrong."""

_log = logging.getLogger("chatglm_server.access")


@dataclass(slots=True)
class RequestRecord:
    """The contents of a request's log line, besides its method, path, status and time."""

    notes: dict[str, object] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    timings: list[Timings] = field(default_factory=list)
    repairs: Counter[str] = field(default_factory=Counter)
    abandoned: int = 0
    calls: list[str] = field(default_factory=list)
    reading: PromptRead | None = None
    """How far the prompt is read, until the answer begins."""
    told: float = 0.0
    """Seconds of reading when the log said so last."""

    def note(self, event: Event) -> None:
        """Take from `event` the names of calls, repairs, counts and times. A long prompt is news for the log. Mutates
        the record.
        """
        if isinstance(event, PromptRead):
            self.reading = event
            if event.seconds - self.told >= _NEWS_S:
                self.told = event.seconds
                _log.info("%s", self.progress)
            return
        self.reading = None
        if isinstance(event, ToolCallStart) and len(self.calls) < _MAX_CALLS:
            self.calls.append(quote(event.name[:64]))  # percent-encoded: a model's text cannot forge a log line
        if isinstance(event, Finish):
            self.usage += event.usage
            if event.timings is not None:
                self.timings.append(event.timings)
        elif isinstance(event, ToolCallRepaired):
            self.repairs.update(event.repairs)
        elif isinstance(event, ToolCallAbandoned):
            self.abandoned += 1

    @property
    def progress(self) -> str:
        """How far the prompt is read; "" if that is not known."""
        if self.reading is None:
            return ""
        done = self.reading
        return f"reading a prompt: {done.read:,} of {done.tokens:,} tokens, about {done.seconds_left:.0f} s left"

    def refuse(self, error: ChatGLMServerError) -> None:
        """Take from `error` its code and the field it names, never its message. Mutates the record."""
        self.notes["error"] = quote((error.code or "internal_error")[:64])  # a backend's code is that server's text
        if error.param is not None and _FIELD.fullmatch(error.param):
            self.notes["field"] = error.param

    def summary(self) -> str:
        """The record as ``name=value`` pairs."""
        parts = [f"{name}={value}" for name, value in self.notes.items()]
        if self.calls:
            parts.append(f"calls={','.join(self.calls)}")
        if self.repairs:
            kinds = ", ".join(f"{kind} x{count}" if count > 1 else kind for kind, count in self.repairs.items())
            parts.append(f'repaired="{kinds}"')
        if self.abandoned:
            parts.append(f"abandoned_calls={self.abandoned}")
        if self.usage.prompt_tokens:
            parts.append(f"prompt={self.usage.prompt_tokens} cached={self.usage.cached_tokens}")
            parts.append(f"completion={self.usage.completion_tokens}")
        if self.timings:
            parts.append(f"first_token={self.timings[0].first_token:.2f}s")
        if self.speed is not None:
            unit = "char" if self.usage.details.get("unit") == "characters" else "tok"
            parts.append(f"speed={self.speed:.1f}{unit}/s")
        return " ".join(parts)

    @property
    def speed(self) -> float | None:
        """Tokens (or characters) a second, after each answer's first; None if nobody knows."""
        seconds = sum(timings.generation for timings in self.timings)
        generated = self.usage.completion_tokens - len(self.timings)
        return generated / seconds if seconds > 0 and generated > 0 else None  # a backend may send all at once

    def fields(self) -> dict[str, object]:
        """The same for programs. Times are in seconds."""
        fields = dict(self.notes)
        if self.calls:
            fields["calls"] = self.calls
        if self.repairs:
            fields["repairs"] = dict(self.repairs)
        if self.abandoned:
            fields["abandoned_calls"] = self.abandoned
        if self.usage.prompt_tokens:
            fields["prompt_tokens"] = self.usage.prompt_tokens
            fields["cached_tokens"] = self.usage.cached_tokens
            fields["completion_tokens"] = self.usage.completion_tokens
        if self.timings:
            fields["first_token_s"] = round(self.timings[0].first_token, 3)
        if self.speed is not None:
            fields["speed"] = round(self.speed, 1)
        return fields


def request_record(scope: Scope) -> RequestRecord:
    """The record of the request that `scope` belongs to."""
    record: RequestRecord = scope["state"]["record"]
    return record


class AccessLog:
    """Logs each request once it is over, with what its `RequestRecord` holds. `noted` gets that too, and the status."""

    def __init__(self, app: ASGIApp, noted: Callable[[RequestRecord, int], None] | None = None) -> None:
        self._app = app
        self._noted = noted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        record = RequestRecord()
        started = time.perf_counter()
        scope = {**scope, "state": {**scope.get("state", {}), "record": record}}
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
            seconds = time.perf_counter() - started
            path = quote(scope["path"][:200])  # percent-encoded: a path cannot forge a log line
            outcome = f"{status}" if whole else f"{status or '-'} cut off"
            if self._noted is not None:
                self._noted(record, status)
            line = f"{scope['method']} {path} {outcome} {seconds:.2f}s {record.summary()}".rstrip()
            fields = {"method": scope["method"], "path": path, "status": status or None, "cut_off": not whole}
            request = {**fields, "seconds": round(seconds, 3), **record.fields()}
            routine = whole and status < 400 and _ROUTINE.fullmatch(scope["path"])
            _log.log(logging.DEBUG if routine else logging.INFO, "%s", line, extra={"request": request})
