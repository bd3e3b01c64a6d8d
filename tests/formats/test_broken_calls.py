"""Calls that a model got wrong: whatever is mangled, a client can use what it was sent, and no text is lost."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.answer import Answer
from chatglm_server.chat import (
    FinishReason,
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallStart,
)
from chatglm_server.cli.format_commands import parse_pieces
from chatglm_server.formats.any_glm import any_glm_parser
from chatglm_server.formats.registry import FORMATS

TOOLS = [
    Tool({"name": name, "parameters": {"properties": properties, "required": required}})
    for name, properties, required in (
        ("write", {"path": {"type": "string"}, "text": {"type": "string"}, "mode": {"type": "integer"}}, ["text"]),
        ("look", {"at": {"type": "string"}, "where": {"type": "object", "properties": {"x": {"type": "string"}}}}, []),
        ("ping", {}, []),
    )
]
TAGS = ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "</think>")
ARGUMENTS = {"write": ("path", "text", "mode"), "look": ("at", "where", "nobody"), "ping": (), "other": ("a",)}
VALUES = ("x", "12", "", " ", '{"x": "1"}', "a </arg_value> b", "<arg_key>x</arg_key><arg_value>1</arg_value>", "\\")


@st.composite
def calls(draw: st.DrawFn) -> list[str]:
    """The tags and texts of a call."""
    name = draw(st.sampled_from(["write", "write", *ARGUMENTS]))  # the one with a required argument most often
    parts = ["<tool_call>", name]
    for key in draw(st.permutations(ARGUMENTS[name]))[: draw(st.sampled_from([3, 3, 2, 1, 0]))]:
        parts += ["<arg_key>", key, "</arg_key>", "<arg_value>", draw(st.sampled_from(VALUES)), "</arg_value>"]
    return [*parts, "</tool_call>"]


@st.composite
def mangled(draw: st.DrawFn) -> str:
    """An answer with one or two calls, in which some parts are left out, doubled, exchanged or added."""
    said = ("First. ", " Then. ", " Last.")
    parts = [said[0], *draw(calls()), said[1]]
    if draw(st.booleans()):
        parts += [*draw(calls()), said[2]]
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        at = draw(st.integers(1, len(parts) - 1) | st.integers(len(parts) // 2, len(parts) - 1))
        change = draw(st.sampled_from(["leave out", "double", "exchange", "add", "cut"]))
        if change == "leave out" and parts[at] not in said:
            del parts[at]
        elif change == "double" and parts[at] not in said:
            parts.insert(at, parts[at])
        elif change == "exchange" and parts[at] not in said:
            parts[at] = draw(st.sampled_from(TAGS))
        elif change == "add":
            parts.insert(at, draw(st.sampled_from([*TAGS, "\n", "write"])))
        elif change == "cut":
            parts[at] = parts[at][: draw(st.integers(0, len(parts[at])))]
            del parts[at + 1 :]
        if len(parts) < 2:
            break
    return "".join(parts)


formats = st.sampled_from([*FORMATS])
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length"])
known = st.sampled_from([TOOLS, None])


def read(
    name: str, pieces: list[str], tools: list[Tool] | None, think: bool, reason: FinishReason
) -> list[ParserEvent]:
    """The events of an answer, in the format `name` or in tags."""
    if tools is None:
        parser = FORMATS[name].parser(None, prompt_ends_in_think=think)
    else:
        parser = any_glm_parser(FORMATS[name], tools, prompt_ends_in_think=think)
    return parse_pieces(pieces, parser, reason=reason)


class Client:
    """What a client has of a stream. It knows nothing of calls that were given up."""

    def __init__(self, events: list[ParserEvent]) -> None:
        self.text = "".join(event.text for event in events if isinstance(event, TextDelta | ToolCallAbandoned))
        self.reasoning = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
        self.names = {event.index: event.name for event in events if isinstance(event, ToolCallStart)}
        self.arguments: dict[int, str] = defaultdict(str)
        for event in events:
            if isinstance(event, ToolCallDelta):
                self.arguments[event.index] += event.arguments


@settings(max_examples=400, deadline=None)
@given(formats, mangled(), known, st.booleans(), st.integers(1, 7))
def test_a_stream_that_the_model_ended_is_the_whole_answer(
    name: str, text: str, tools: list[Tool] | None, think: bool, size: int
) -> None:
    """Each call has the same JSON object in both, and nothing is taken back."""
    events = read(name, [text[at : at + size] for at in range(0, len(text), size)], tools, think, "stop")
    stream, whole = Client(events), Answer.of(read(name, [text], tools, think, "stop"))

    assert not any(isinstance(event, ToolCallAbandoned) for event in events)
    assert [*stream.names] == [*stream.arguments] == [*range(len(stream.names))]
    for arguments in stream.arguments.values():
        assert isinstance(json.loads(arguments, parse_constant=pytest.fail), dict)
    assert (stream.text, stream.reasoning) == (whole.content, whole.reasoning)
    assert [(stream.names[at], stream.arguments[at]) for at in stream.names] == [
        (call.name, call.arguments) for call in whole.tool_calls
    ]


@settings(max_examples=400, deadline=None)
@given(formats, mangled(), known, st.booleans(), reasons)
def test_text_beside_calls_is_never_lost(
    name: str, text: str, tools: list[Tool] | None, think: bool, reason: FinishReason
) -> None:
    """What stands before and right after a block is content or reasoning, or part of a value that was not closed."""
    client = Client(read(name, [text], tools, think, reason))
    kept = "".join((client.text, client.reasoning, *client.arguments.values()))

    assert text.startswith("First. ") and "First." in kept
    for said in ("Then.", "Last."):
        assert f"</tool_call> {said}" not in text or said in kept


@settings(max_examples=400, deadline=None)
@given(formats, mangled(), st.booleans(), reasons)
def test_a_call_that_was_broken_off_has_its_required_arguments(
    name: str, text: str, think: bool, reason: FinishReason
) -> None:
    """Only a call whose block is whole may lack them: then the model meant it so."""
    answer = Answer.of(read(name, [text], TOOLS, think, reason))
    for call in answer.tool_calls:
        lacks = call.name == "write" and "text" not in json.loads(call.arguments)
        assert not (lacks and {"arguments broken off", "missing </tool_call>"} & set(call.repairs))


def test_a_name_and_its_opener_twice_is_one_call() -> None:
    """However the arguments are declared: the first call would be one that the client runs for nothing."""
    block = "<tool_call>save<tool_call>save<arg_key>path</arg_key><arg_value>a</arg_value></tool_call>"
    declared: list[Any] = [{}, {"properties": {"path": {"type": "string"}}}, {"required": ["path"]}, {"type": "object"}]
    for parameters in declared:
        tools = [Tool({"name": "save", "parameters": parameters})]
        for pieces in ([block], list(block)):
            (call,) = Answer.of(read("glm47", pieces, tools, False, "stop")).tool_calls
            assert (call.name, json.loads(call.arguments)) == ("save", {"path": "a"})
