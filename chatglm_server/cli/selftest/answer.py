"""What an answer says, whole or streamed, read without trust in its shape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .wire import Stream, parse_json


@dataclass(slots=True)
class Call:
    """A call of a tool; its arguments as the text that came."""

    name: str = ""
    arguments: str = ""

    @property
    def value(self) -> Any:
        """The arguments' JSON object, or their text if they are none: two spellings of the same object are equal."""
        value = parse_json(self.arguments)
        return value if isinstance(value, dict) else self.arguments


@dataclass(slots=True)
class Answer:
    """An answer as a client that accumulates would have it."""

    content: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    reason: str | None = None

    def difference(self, other: Answer) -> str:
        """The first thing in which the two differ, or ""."""
        if self.content != other.content:
            return f"content {self.content[:60]!r} and {other.content[:60]!r}"
        if self.reasoning != other.reasoning:
            return f"reasoning {self.reasoning[:60]!r} and {other.reasoning[:60]!r}"
        calls = [[(call.name, call.value) for call in answer.calls] for answer in (self, other)]
        if calls[0] != calls[1]:
            return f"calls {str(calls[0])[:90]} and {str(calls[1])[:90]}"
        return "" if self.reason == other.reason else f"finish_reason {self.reason!r} and {other.reason!r}"


def an_object(value: Any) -> dict[str, Any]:
    """`value`, or {} if it is no object."""
    return value if isinstance(value, dict) else {}


def a_list(value: Any) -> list[Any]:
    """`value`, or [] if it is no list."""
    return value if isinstance(value, list) else []


def a_text(value: Any) -> str:
    """`value`, or "" if it is no text."""
    return value if isinstance(value, str) else ""


def choices_of(stream: Stream) -> Iterator[dict[str, Any]]:
    """The first choice of each chunk that has one."""
    for chunk in stream.chunks:
        for choice in a_list(chunk.get("choices"))[:1]:
            yield an_object(choice)


def deltas_of(stream: Stream) -> Iterator[dict[str, Any]]:
    """The delta of each chunk that has a choice."""
    return (an_object(choice.get("delta")) for choice in choices_of(stream))


def call_deltas_of(stream: Stream) -> Iterator[dict[str, Any]]:
    """The parts of calls, in order."""
    return (an_object(call) for delta in deltas_of(stream) for call in a_list(delta.get("tool_calls")))


def message_of(value: Any) -> dict[str, Any]:
    """The message of a whole answer."""
    return an_object(an_object(next(iter(a_list(an_object(value).get("choices"))), None)).get("message"))


def whole_answer(value: Any) -> Answer:
    message = message_of(value)
    functions = [an_object(an_object(call).get("function")) for call in a_list(message.get("tool_calls"))]
    return Answer(
        a_text(message.get("content")),
        a_text(message.get("reasoning_content")),
        [Call(a_text(function.get("name")), a_text(function.get("arguments"))) for function in functions],
        an_object(next(iter(a_list(an_object(value).get("choices"))), None)).get("finish_reason"),
    )


def joined_answer(stream: Stream) -> Answer:
    """Strings are joined, as clients do: a name that is sent twice is there twice."""
    answer = Answer()
    calls: dict[str, Call] = {}
    for choice in choices_of(stream):
        delta = an_object(choice.get("delta"))
        answer.content += a_text(delta.get("content"))
        answer.reasoning += a_text(delta.get("reasoning_content"))
        answer.reason = choice.get("finish_reason") or answer.reason
        for part in map(an_object, a_list(delta.get("tool_calls"))):
            call = calls.setdefault(str(part.get("index")), Call())
            function = an_object(part.get("function"))
            call.name += a_text(function.get("name"))
            call.arguments += a_text(function.get("arguments"))
    answer.calls = list(calls.values())
    return answer
