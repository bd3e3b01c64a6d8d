"""The contract of a dialect: one API's way of asking and of answering."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from fastapi import APIRouter

from ..answer import Answer
from ..chat import AnswerEvent, Usage
from ..engine.capabilities import Capability
from ..errors import ChatGLMServerError
from ..service import Service

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """A server-sent event: its data, JSON or a word, and its name in the dialects that name events."""

    data: Json | str
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error as a response."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


class AnswerShape(Protocol):
    """The answers to one request in a dialect's words: as a stream of events, or whole.

    Subclasses say nothing at the beginning and the end, while they wait and when they fail, unless they say so.
    """

    def begin(self, prompt_tokens: int) -> Iterable[StreamEvent]:
        """The first events of a stream, sent before the model is asked. `prompt_tokens` is 0 if it is not known."""
        return ()

    def add(self, event: AnswerEvent) -> Iterable[StreamEvent]:
        """The events to send for `event`: none if it is not sent, or is sent with a later one. Mutates the shape."""
        ...

    def waiting(self) -> StreamEvent | None:
        """The event that tells a client to go on waiting, in a stream with nothing to say.

        None: a comment line, where streams have such.
        """
        return None

    def failed(self, error: ChatGLMServerError) -> StreamEvent | None:
        """The last event of a stream that failed; None: the dialect's `error_event`."""
        return None

    def end(self, usage: Usage) -> Iterable[StreamEvent]:
        """The last events of a stream before the dialect's `stream_end`. `usage` is that of all choices."""
        return ()

    def whole(self, answers: Sequence[Answer]) -> Json:
        """The response to a client that does not stream. Needs finished answers, one a choice."""
        ...


MakeShape = Callable[[str], AnswerShape]
"""Makes the shape of an answer, given the name of the model that answers."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a dialect answers. `keep_alive_s`: seconds between signs of life in a stream.

    `report_repairs`: each call that was repaired says how. `any_model`: see `Dialect.any_model`.
    `max_wait_s`: seconds to the first token that a request is willing to wait if it does not say; 0: any number.
    """

    keep_alive_s: float = 10.0
    report_repairs: bool = False
    any_model: bool = True
    max_wait_s: float = 0.0


class Dialect(Protocol):
    """An API that clients speak. `DIALECTS` in dialects.py lists them all."""

    @property
    def json_lines(self) -> bool:
        """True if a stream is lines of JSON, one an event, without names; else server-sent events."""
        ...

    @property
    def line_end(self) -> str:
        """The end of each line of a stream."""
        ...

    @property
    def stream_end(self) -> StreamEvent | None:
        """The last event of a stream that succeeded."""
        ...

    @property
    def key_header(self) -> str | None:
        """The header in which clients may send their key, besides ``Authorization: Bearer``."""
        ...

    @property
    def not_shown(self) -> frozenset[Capability]:
        """Capabilities whose results do not fit into this dialect's answers. Requests that need them are refused."""
        ...

    @property
    def any_model(self) -> bool:
        """True if clients name models of their own maker unless told otherwise. The model that is served answers in
        that name, if `Options.any_model` says so.
        """
        ...

    def owns(self, path: str) -> bool:
        """True if errors below `path` are reported in this dialect, even if no route handles the path."""
        ...

    def error_reply(self, error: ChatGLMServerError) -> ErrorReply:
        """`error` as the response to a request."""
        ...

    def error_event(self, error: ChatGLMServerError) -> StreamEvent:
        """`error` as the last event of a stream that failed."""
        ...

    def router(self, service: Service, options: Options) -> APIRouter:
        """The dialect's routes."""
        ...
