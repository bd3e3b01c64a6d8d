"""Requests that no server can honour: what it says to them."""

from __future__ import annotations

from typing import Any

from .answer import an_object
from .session import Session
from .wire import NoAnswer, Reply

_HELLO = [{"role": "user", "content": "Hello!"}]
_BAD: dict[str, dict[str, Any]] = {
    "no messages": {},
    "messages that are a text": {"messages": "Hello!"},
    "an unknown role": {"messages": [{"role": "wizard", "content": "Hello!"}]},
    "a temperature that is a text": {"messages": _HELLO, "temperature": "hot"},
    "max_tokens that is a text": {"messages": _HELLO, "max_tokens": "many"},
    "stream_options without a stream": {"messages": _HELLO, "stream_options": {"include_usage": True}},
    "a tool_choice without tools": {"messages": _HELLO, "tool_choice": "required"},
}
_FIELDS = {"message", "type", "param", "code"}
_MOST_WORDS = 1_000_000
"""More make a body that many servers refuse for its size."""


async def bad_requests(session: Session) -> None:
    _judge(session, "half a JSON object", await session.reply("half a JSON object", b'{"messages": ['))
    for name, fields in _BAD.items():
        _judge(session, name, await session.reply(name, session.body(fields)))
    try:
        stream = await session.server.stream(session.body({"messages": "Hello!"}))
    except NoAnswer as error:
        session.report.judge("error-first", "a stream of a bad request", str(error))
        return
    fault = "" if 400 <= stream.status < 500 else f"status {stream.status}"
    session.report.judge("error-first", "a stream of a bad request", fault)


async def too_long_prompt(session: Session) -> None:
    """Agents shorten a conversation if they are told that it is too long. A word is a token at least."""
    words = session.context_length + 1
    if not 1 < words <= _MOST_WORDS:
        return
    name = f"a prompt of {words} words"
    fields = {"messages": [{"role": "user", "content": "word " * words}], "max_tokens": 1}
    reply = await session.reply(name, session.body(fields))
    if reply is not None:
        code = an_object(an_object(reply.value).get("error")).get("code")
        kept = (reply.status, code) == (400, "context_length_exceeded")
        session.report.judge("too-long", name, "" if kept else f"status {reply.status}, code {code!r}")


def _judge(session: Session, name: str, reply: Reply | None) -> None:
    if reply is None:
        return
    refused = 400 <= reply.status < 500
    session.report.judge("error-status", name, "" if refused else f"status {reply.status}")
    if reply.status >= 400:
        session.report.judge("error-shape", name, _shape_fault(reply.value))


def _shape_fault(value: Any) -> str:
    error = an_object(value).get("error")
    if not isinstance(error, dict):
        return "it has no object error"
    if missing := sorted(_FIELDS - error.keys()):
        return f"error has no {' and no '.join(missing)}"
    texts = [name for name in ("message", "type") if not isinstance(error[name], str) or not error[name]]
    return f"{texts[0]} is {error[texts[0]]!r}" if texts else ""
