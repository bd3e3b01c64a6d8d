"""The requests of a self-test, and what each of them shows beside the rules for all answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from .answer import Answer, an_object
from .bad_requests import bad_requests, too_long_prompt
from .session import Session
from .wire import NoAnswer


def _user(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def _tool(name: str, description: str, **parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": kind} for parameter, kind in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(parameters)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": schema}}


def _call(number: int, city: str) -> dict[str, Any]:
    function = {"name": "get_weather", "arguments": f'{{"city": "{city}"}}'}
    return {"id": f"call_{number}", "type": "function", "function": function}


_PLAIN: dict[str, Any] = {"messages": _user("Who are you?")}
_LONG: dict[str, Any] = {"messages": _user("Write a long story about a lighthouse and its keeper."), "max_tokens": 2000}
_TOOLS = [
    _tool("get_weather", "Get the current weather in a city", city="string"),
    _tool("add", "Add two numbers", a="integer", b="integer"),
]
_WEATHER: dict[str, Any] = {"messages": _user("What is the weather in Paris?"), "tools": _TOOLS}
_TWO_CITIES: dict[str, Any] = {"messages": _user("What is the weather in Paris and in London?"), "tools": _TOOLS}
_NAMED = {"type": "function", "function": {"name": "add"}}
_RESULTS: dict[str, Any] = {
    "messages": [
        *_user("What is the weather in Paris and in London?"),
        {"role": "assistant", "content": None, "tool_calls": [_call(1, "Paris"), _call(2, "London")]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"weather": "sunny", "degrees": 21}'},
        {"role": "tool", "tool_call_id": "call_2", "content": '{"weather": "rainy", "degrees": 14}'},
    ],
    "tools": _TOOLS,
}
_HISTORY: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "Answer in one sentence."},
        {"role": "user", "content": [{"type": "text", "text": "Who are you?"}]},
        {"role": "assistant", "content": "I am a model.", "reasoning_content": "They ask for my name."},
        {"role": "user", "content": [{"type": "text", "text": "And what "}, {"type": "text", "text": "can you do?"}]},
    ]
}
_UNKNOWN = {
    "store": False,
    "metadata": {"run": "selftest"},
    "user": "selftest",
    "service_tier": "auto",
    "x_field_that_nobody_knows": {"a": [1]},
}
_NULLS = dict.fromkeys(("top_p", "stop", "tools", "tool_choice", "seed", "n", "stream_options", "response_format"))
_FEW = 3  # tokens
_WRITES_ON_S = 10.0


async def _plain(session: Session) -> None:
    if await _both("a plain question", session, _PLAIN):
        await session.stream("a question with usage", _PLAIN | {"stream_options": {"include_usage": True}})


async def _both(name: str, session: Session, fields: dict[str, Any]) -> Answer | None:
    """Asks three times. A stream can be compared only if the server says the same when it is asked the same."""
    first = await session.whole(name, fields)
    if first is None:
        return None
    second, streamed = await session.whole(name, fields), await session.stream(name, fields)
    if second and streamed and not first[1].difference(second[1]):
        session.report.judge("same-answer", name, first[1].difference(streamed))
    return first[1]


async def _tools(session: Session) -> None:
    await _both("a question for one tool", session, _WEATHER)
    await session.stream("a question for two calls", _TWO_CITIES)
    found = await session.whole("a question for two calls, one at a time", _TWO_CITIES | {"parallel_tool_calls": False})
    if found and found[1].calls:
        fault = f"{len(found[1].calls)} calls" if len(found[1].calls) > 1 else ""
        session.report.judge("parallel-off", "a question for two calls, one at a time", fault)


async def _tool_choice(session: Session) -> None:
    for name, fields in (
        ("required", {"messages": _user("Hello!"), "tools": _TOOLS, "tool_choice": "required"}),
        ("named", _WEATHER | {"tool_choice": _NAMED}),
        ("none", _WEATHER | {"tool_choice": "none"}),
    ):
        title = f"tool_choice {name}"
        found = await session.whole(title, fields)
        for request, answer in (
            (title, found and found[1]),
            (f"{title}, streamed", await session.stream(title, fields)),
        ):
            if answer is not None:
                session.report.judge(f"tool-choice-{name}", request, _choice_fault(name, answer))


def _choice_fault(choice: str, answer: Answer) -> str | None:
    names = [call.name for call in answer.calls]
    if choice == "none":
        return f"a call of {names[0]!r}" if names else ""
    if answer.reason == "length":
        return None
    if not names:
        return "no call"
    return f"a call of {names[0]!r}" if choice == "named" and set(names) != {"add"} else ""


async def _conversations(session: Session) -> None:
    found = await session.whole("results of tools", _RESULTS)
    streamed = await session.stream("results of tools", _RESULTS)
    for request, answer in (("results of tools", found and found[1]), ("results of tools, streamed", streamed)):
        says = answer is not None and bool(answer.content or answer.calls or answer.reason == "length")
        session.report.judge("tool-results", request, "" if says else "no answer")
    found = await session.whole("messages of all kinds", _HISTORY)
    session.report.judge("history", "messages of all kinds", "" if found else "no answer")


async def _limits(session: Session) -> None:
    for field in ("max_tokens", "max_completion_tokens"):
        name = f"{field} of {_FEW}"
        fields = {"messages": _LONG["messages"], field: _FEW}
        found, streamed = await session.whole(name, fields), await session.stream(name, fields)
        for answer in (found and found[1], streamed):
            if answer is not None:
                fault = "" if answer.reason == "length" else f"finish_reason is {answer.reason!r}"
                session.report.judge("max-tokens", name, fault)
        written = an_object(an_object(found and found[0]).get("usage")).get("completion_tokens")
        if isinstance(written, int) and written > _FEW:
            session.report.judge("max-tokens", name, f"{written} tokens")


async def _stop_strings(session: Session) -> None:
    first = await session.whole("a plain question", _PLAIN)
    text = first[1].content if first else ""
    stop = text[4:9].strip()
    if not stop:
        return
    fields = _PLAIN | {"stop": [stop]}
    found, streamed = await session.whole("a stop string", fields), await session.stream("a stop string", fields)
    for request, answer in (("a stop string", found and found[1]), ("a stop string, streamed", streamed)):
        if answer is not None:
            session.report.judge("stop-strings", request, _stop_fault(answer, stop, text.partition(stop)[0]))


def _stop_fault(answer: Answer, stop: str, expected: str) -> str | None:
    if stop in answer.content:
        return f"content holds {stop!r}"
    if answer.content != expected:  # a model that says something else when it is asked again
        return None
    return "" if answer.reason == "stop" else f"finish_reason is {answer.reason!r}"


async def _fields(session: Session) -> None:
    for rule, name, fields in (
        ("unknown-fields", "fields that nobody knows", _UNKNOWN),
        ("null-fields", "fields that are null", _NULLS),
    ):
        found = await session.whole(name, _PLAIN | fields)
        session.report.judge(rule, name, "" if found else "no answer")


async def _disconnect(session: Session) -> None:
    """A server that writes on for a client who has gone keeps the next one waiting."""
    short = _PLAIN | {"max_tokens": 1}
    begun = time.monotonic()
    await session.whole("a short question", short)
    usual = time.monotonic() - begun
    try:
        left = await session.server.leave(session.body(_LONG))
    except NoAnswer as error:
        session.report.judge("disconnect", "a stream that is left", str(error))
        return
    begun = time.monotonic()
    found = await session.whole("a question after a stream that was left", short)
    waited = time.monotonic() - begun
    fault = "" if found else "no answer"
    if found and waited > usual + _WRITES_ON_S:
        fault = f"it waited {waited:.0f} s, and {usual:.0f} s before"
    if left:
        session.report.judge("disconnect", "a question after a stream that was left", fault)


TRIALS: dict[str, Callable[[Session], Awaitable[None]]] = {
    "plain questions": _plain,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "conversations": _conversations,
    "limits": _limits,
    "stop strings": _stop_strings,
    "other fields": _fields,
    "bad requests": bad_requests,
    "a long prompt": too_long_prompt,
    "clients that leave": _disconnect,
}
"""The trials, in order; the first one must be answered."""
