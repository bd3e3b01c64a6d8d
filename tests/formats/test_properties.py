"""What holds of the parsers for any output, any tools and any cut."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chatglm_server.chat import (
    FinishReason,
    Message,
    ParserEvent,
    ReasoningDelta,
    Tool,
    ToolCall,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
)
from chatglm_server.cli.format_commands import parse_pieces
from chatglm_server.formats.base import ChatFormat
from chatglm_server.formats.registry import FORMATS

from .case_files import summary
from .work import work_of

NAMES = ("ping", "ping_all", "a.b", "查询", "/go", "interpreter", "code_interpreter", "x")
BRACKETS = ("tool_call", "(", ")", "{", "}", "[", "]", "()", "{}", "a=1", "b='", 'c="', "'a': ", '"k": ', ", ", "=")
LITERALS = ("#", "'", '"', "'''", '"""', "\\", "\\u", "r'", "True", "null", "NaN", "-", "1e9", "__import__('os')", ":")
BLANKS = ("`", "```", "```python", "```json\n", "\n", "\r\n", " ", "  ", "\t", "\u3000", "\x00")
TAGS = ("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", "<", "</arg_val")
TAGGED = (
    *("<tool_call>ping</tool_call>", "<tool_call>ping<arg_key>q</arg_key><arg_value>", "</arg_value></tool_call>"),
    *(
        "<tool_call>x\n<arg_key>n</arg_key>\n<arg_value>1</arg_value>\n",
        '<tool_call>{"name": "ping"}',
        "pingq</arg_key>",
    ),
    *("<tool_call>ping<arg_key>o</arg_key><arg_value>", "<arg_key>q</arg_key><arg_value>1</arg_value>"),
    *("</arg_key><arg_value>", "</arg_value><arg_key>", "\\n", "<tool_call>ping k=1", "functions.ping", "\\", "n"),
)
TOKENS = ("<|assistant|>", "<|observation|>", "<|user|>", "<|", "<eop>", "<sop>", "<think>", "</think>", "</th")
TEXTS = ("[[训练时间]]", "[[训练", "好,", "!", "Hello", "functions.", "😀", "\ud83d")
LONE = (
    '{"name": "ping", "arguments": {"q": "1"}}',
    '{"name": "ping", "arguments": ',
    '{"name": "x", "arguments": "{}"}',
)
CALLS = ("ping\n{}", "ping\n```python\ntool_call(a='b')\n```", 'a.b\n{"q": [1]}', "interpreter\n```python\n1\n```")
PARTS = NAMES + BRACKETS + LITERALS + BLANKS + TOKENS + TEXTS + CALLS + LONE + TAGS + TAGGED
outputs = st.lists(st.sampled_from(PARTS) | st.text(max_size=4), max_size=24).map("".join)
tagged_outputs = st.lists(st.sampled_from(TAGS + TAGGED + NAMES + BLANKS + TOKENS + ("q", "n", "1")), max_size=16).map(
    "".join
)
tool_sets = st.lists(st.sampled_from(NAMES), max_size=4, unique=True).map(lambda names: [tool(name) for name in names])
TAGGED_FORMATS = ("glm45", "glm47", "glm52")
formats = st.sampled_from([*FORMATS.values()])
reasons: st.SearchStrategy[FinishReason] = st.sampled_from(["stop", "length"])


def tool(name: str) -> Tool:
    properties = {"q": {"type": "string"}, "n": {"type": "integer"}, "k": {"type": ["string", "null"]}}
    required = ["n"] if name == "x" else []
    object_: dict[str, Any] = {"type": "object", "properties": {"o": {"$ref": "#/$defs/o"}, "q": {"type": "string"}}}
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {**properties, "o": {"$ref": "#/$defs/o"}},
        "required": required,
        "$defs": {"o": object_},
    }
    if name == "a.b":
        parameters = {"oneOf": [{"properties": {"q": {"const": "1"}, "n": {"type": "string"}}}, parameters]}
    return Tool({"name": name, "parameters": parameters})


def parse(
    chat_format: ChatFormat,
    pieces: list[str],
    tools: list[Tool] | None,
    reason: FinishReason = "stop",
    think: bool = False,
    spelled: bool = True,
) -> list[ParserEvent]:
    """The events of `pieces`; `spelled`: what looks like a special token in them is one."""
    parser = chat_format.parser(tools, prompt_ends_in_think=think)
    return parse_pieces(pieces, parser, chat_format.special_tokens if spelled else (), reason)


def cut(text: str, places: list[int]) -> list[str]:
    edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(edges)]


@settings(max_examples=400, deadline=None)
@given(
    formats,
    outputs | tagged_outputs,
    tool_sets | st.none(),
    reasons,
    st.booleans(),
    st.lists(st.integers(0, 999), max_size=6),
)
@example(FORMATS["glm4"], "ping\n{}\n```py\n1", [tool("ping")], "stop", False, [11])
@example(FORMATS["chatglm3"], "interpreter\n`x", [tool("interpreter")], "stop", False, [12])
def test_any_output_is_read_alike_however_it_is_cut(
    chat_format: ChatFormat, text: str, tools: list[Tool] | None, reason: FinishReason, think: bool, places: list[int]
) -> None:
    whole = parse(chat_format, [text], tools, reason, think)

    assert summary(parse(chat_format, cut(text, places), tools, reason, think)) == summary(whole)
    assert summary(parse(chat_format, list(text), tools, reason, think)) == summary(whole)
    check_calls(whole)
    if not (tools and chat_format.supports_tools) and not (tools is None and chat_format.name in TAGGED_FORMATS):
        assert not summary(whole)[2]


def check_calls(events: list[ParserEvent]) -> None:
    """Calls are numbered in order, none begins before the last one ended, and each has a strict JSON object."""
    arguments: list[str | None] = []
    for event in events:
        if isinstance(event, ToolCallStart):
            assert event.index == len(arguments)
            assert event.name
            arguments.append("")
        elif isinstance(event, ToolCallDelta):
            assert event.index == len(arguments) - 1
            assert event.arguments, "no empty deltas"
            arguments[-1] = str(arguments[-1]) + event.arguments
        elif isinstance(event, ToolCallRepaired):
            assert event.index == len(arguments) - 1
            assert event.repairs
        elif isinstance(event, ToolCallAbandoned):
            assert event.index == len(arguments) - 1
            arguments[-1] = None
        else:
            assert event.text, "no empty deltas"
            if isinstance(event, ReasoningDelta):
                assert not arguments, "reasoning comes before calls"
    for text in arguments:
        if text is None:
            continue
        assert isinstance(json.loads(text, parse_constant=pytest.fail, object_pairs_hook=unique_keys), dict)
        text.encode()


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def content_of(name: str, text: str, tools: list[Tool]) -> str:
    """The content of output without calls: all but blanks before it, and ChatGLM3's header of code that none takes."""
    if name == "chatglm3" and not {tool.name for tool in tools} & {"interpreter", "code_interpreter"}:
        text = re.sub(r"\A[ \t]{0,16}interpreter[ \t]{0,16}\r?\n\s{0,16}(?=```)", "", text)
    return text.lstrip()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["chatglm3", "glm4"]), outputs, tool_sets)
@example("chatglm3", "interpreter\n```python\n1\n```", [tool("x")])
def test_no_text_is_lost(name: str, text: str, tools: list[Tool]) -> None:
    """Beside calls, content is the output but for blanks; with calls it is what they leave of it, in order."""
    text = text.replace("[[训练时间]]", "").replace("<think>", "")
    content, _, calls = summary(parse(FORMATS[name], [text], tools, spelled=False))

    if not calls:
        assert content == content_of(name, text, tools)
    rest = iter("".join(text.split()))
    assert all(char in rest for char in "".join(content.split()))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(TAGGED_FORMATS), tagged_outputs | outputs, tool_sets | st.none(), reasons, st.booleans())
def test_tagged_text_is_not_lost_either(
    name: str, text: str, tools: list[Tool] | None, reason: FinishReason, think: bool
) -> None:
    """What is neither called nor dropped with its tags is reasoning, then content, in order."""
    content, reasoning, calls = summary(parse(FORMATS[name], [text], tools, reason, think, spelled=False))

    rest = iter("".join(text.split()))
    assert all(char in rest for char in "".join((reasoning + content).split()))
    if not calls and not ("<arg_value>" in text and "</think>" in text):  # which may end a call that was given up
        kept = "".join((reasoning + content).split())
        for tag in ("<think>", "</think>", "<tool_call></tool_call>"):
            kept, text = kept.replace(tag, ""), "".join(text.split()).replace(tag, "")
        assert kept.replace("<tool_call>", "") == text.replace("<tool_call>", "")


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["chatglm2", "chatglm3", "glm4"]), outputs)
@example("chatglm3", "interpreter\n```python\n1\n```")
def test_without_tools_content_is_exact(name: str, text: str) -> None:
    text = text.replace("[[训练时间]]", "").replace("<think>", "")
    content, reasoning, calls = summary(parse(FORMATS[name], [text], [], spelled=False))

    assert (content, reasoning, calls) == (content_of(name, text, []), "", [])


@settings(max_examples=100, deadline=None)
@given(outputs, outputs, st.lists(st.integers(0, 999), max_size=4))
def test_reasoning_ends_at_its_first_end(thought: str, rest: str, places: list[int]) -> None:
    thought = thought.replace("</think>", "").removesuffix("</th")
    text = f"{thought}</think>{rest}"
    if "</think>" in text[: len(thought) + 7]:
        return
    _, reasoning, _ = summary(parse(FORMATS["glm4"], cut(text, places), [], think=True, spelled=False))

    assert reasoning == thought.lstrip().removeprefix("<think>").strip()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
words = st.from_regex(r"[^\W\d]\w{0,8}(-\w{1,4})?", fullmatch=True)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["chatglm3", "glm4"]), st.dictionaries(words, values, max_size=4), st.booleans())
def test_a_rendered_call_is_read_back(name: str, arguments: dict[str, Any], one_at_a_time: bool) -> None:
    chat_format = FORMATS[name]
    message = Message("assistant", "", (ToolCall("call_1", "ping", arguments),))
    pieces = [piece for piece in chat_format.render([message]).pieces if isinstance(piece, str)]
    text = "".join(pieces)
    content, _, calls = summary(
        parse(chat_format, list(text) if one_at_a_time else pieces, [tool("ping")], spelled=False)
    )

    assert content == ""
    ((called, read),) = calls
    assert (called, json.loads(read)) == ("ping", arguments)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(TAGGED_FORMATS), st.dictionaries(words, values, max_size=4), st.booleans())
def test_a_rendered_tagged_call_is_read_back(name: str, arguments: dict[str, Any], one_at_a_time: bool) -> None:
    """Strings come back as they are where they are declared, other values by what they look like."""
    chat_format = FORMATS[name]
    strings = {key: {"type": "string"} for key, value in arguments.items() if isinstance(value, str)}
    tools = [Tool({"name": "ping", "parameters": {"properties": strings}})]
    message = Message("assistant", "", (ToolCall("call_1", "ping", arguments),))
    text = chat_format.render([message]).history.text.partition("<|assistant|>")[2]
    content, _, calls = summary(parse(chat_format, list(text) if one_at_a_time else [text], tools, spelled=False))

    assert content == ""
    ((called, read),) = calls
    assert (called, json.loads(read)) == ("ping", arguments)


HOSTILE: dict[str, Callable[[int], str]] = {
    "long string": lambda n: 'ping\n{"a": "' + "x" * n + '"}',
    "long code": lambda n: "interpreter\n```python\n" + "x\n" * (n // 2) + "```",
    "line breaks": lambda n: "\n" * n,
    "line breaks after text": lambda n: "x" + "\n" * n,
    "line breaks after a call": lambda n: "ping\n{}" + "\n" * n,
    "line breaks in a fence": lambda n: "ping\n```json" + "\n" * n,
    "line breaks in braces": lambda n: "ping\n{" + "\n" * n,
    "line breaks in a thought": lambda n: "<think>x" + "\n" * n,
    "line breaks before a thought": lambda n: "\n" * n + "<think>",
    "blanks": lambda n: " " * n + "ping",
    "names and braces": lambda n: "ping\n{" * (n // 6),
    "names and objects begun": lambda n: 'ping\n{"' * (n // 7),
    "names and objects that are none": lambda n: 'ping\n{"a"}\n' * (n // 11),
    "calls that are none": lambda n: "ping\ntool_call(1)\n" * (n // 18),
    "backticks": lambda n: "`" * n,
    "backticks after a name": lambda n: "ping\n```" + "`" * n,
    "fences": lambda n: "```\n" * (n // 4),
    "language of a fence": lambda n: "ping\n```" + "a" * n,
    "beginnings of a name": lambda n: "pin\n" * (n // 4),
    "a word": lambda n: "x" * n,
    "unclosed call": lambda n: "ping\ntool_call(a='" + "x" * n,
    "unclosed comment": lambda n: "ping\ntool_call(#" + "x" * n,
    "calls": lambda n: "ping\n{}\n" * (n // 8),
    "arguments": lambda n: "ping\ntool_call(" + "a=1," * (n // 4) + ")",
    "quotes": lambda n: "ping\ntool_call(a=" + "'" * n + ")",
    "escapes": lambda n: "ping\ntool_call(a='" + "\\n" * (n // 2) + "')",
    "segments": lambda n: "ping<|assistant|>" * (n // 17),
    "placeholders begun": lambda n: "[[训练" * (n // 4),
    "placeholders": lambda n: "[[训练时间]]" * (n // 8),
    "marks": lambda n: "好," * (n // 2),
    "a lone object": lambda n: '{"name": "ping", "arguments": {"a": "' + "x" * n + '"}}',
    "blanks after a lone object": lambda n: '{"name": "ping", "arguments": {}}' + "\n" * n,
    "marks after a lone object": lambda n: '```{"name": "ping", "arguments": {}}``' + "\n`" * (n // 2),
    "a lone object of nobody": lambda n: '{"name": "' + "p" * n,
    "ends of a thought": lambda n: "<think></think>" + "</think>x" * (n // 9),
}


@pytest.mark.parametrize("pieces", [list, lambda text: [text]], ids=["characters", "whole"])
@pytest.mark.parametrize("name", [name for name in FORMATS if name not in ("glm45", "glm52")])  # as glm47
@pytest.mark.parametrize("shape", HOSTILE)
def test_work_grows_with_the_output_and_no_faster(shape: str, name: str, pieces: Callable[[str], list[str]]) -> None:
    tools = [tool("ping"), tool("interpreter")]

    def work(size: int) -> int:
        text = pieces(HOSTILE[shape](size))
        return work_of(lambda: parse(FORMATS[name], text, tools))

    small, large = work(400), work(1600)
    assert large <= 5 * small + 1000


OPEN_VALUE = "<tool_call>ping<arg_key>q</arg_key><arg_value>"
OPEN_OBJECT = OPEN_VALUE.replace(">q<", ">o<")
HOSTILE_TAGGED: dict[str, Callable[[int], str]] = {
    "angle brackets": lambda n: "<" * n,
    "angle brackets in a value": lambda n: OPEN_VALUE + "<" * n,
    "beginnings of tags": lambda n: "</tool_cal" * (n // 10),
    "text that streams": lambda n: OPEN_VALUE + "x" * n + "</arg_value></tool_call>",
    "text that does not": lambda n: OPEN_VALUE.replace(">q<", ">k<") + "x" * n + "</arg_value></tool_call>",
    "quotes": lambda n: OPEN_VALUE + '"' * n + "</arg_value></tool_call>",
    "blanks in a value": lambda n: OPEN_VALUE + "x" + " " * n + "</arg_value></tool_call>",
    "ends of the value": lambda n: OPEN_VALUE + "</arg_value>" * (n // 12),
    "ends of the value and blanks": lambda n: OPEN_VALUE + "</arg_value>" + "\n" * n,
    "ends of the call in a value": lambda n: OPEN_VALUE + "</tool_call>" * (n // 12),
    "ends of the call and text": lambda n: OPEN_VALUE + "</tool_call> x" * (n // 14),
    "keys in a value": lambda n: OPEN_VALUE + "<arg_key>q</arg_key>" * (n // 20),
    "starts in a value": lambda n: OPEN_VALUE + "</arg_value><tool_call>ping" * (n // 27),
    "values that were not closed": lambda n: (OPEN_VALUE + "x</tool_call> y ") * (n // 60),
    "values of nobody that were not closed": lambda n: (
        (OPEN_VALUE.replace("ping", "z") + "x</tool_call> y ") * (n // 60)
    ),
    "starts": lambda n: "<tool_call>" * (n // 11),
    "starts and names": lambda n: "<tool_call>ping" * (n // 15),
    "starts, names and arguments": lambda n: "<tool_call>x<tool_call>n</arg_key>" * (n // 34),
    "calls": lambda n: "<tool_call>ping</tool_call>" * (n // 27),
    "calls of nobody": lambda n: "<tool_call>z</tool_call>" * (n // 24),
    "calls that lack an argument": lambda n: "<tool_call>x<arg_key>q" * (n // 22),
    "arguments": lambda n: (
        "<tool_call>ping" + "<arg_key>n</arg_key><arg_value>1</arg_value>" * (n // 44) + "</tool_call>"
    ),
    "arguments of nobody": lambda n: "<tool_call>z" + "<arg_key>n</arg_key><arg_value>1</arg_value>" * (n // 44),
    "ends after a call": lambda n: "<tool_call>ping</tool_call>" + "</tool_call> " * (n // 13),
    "blanks before a name": lambda n: "<tool_call>" + " " * n + "ping</tool_call>",
    "blanks after a name": lambda n: "<tool_call>ping" + " " * n + "</tool_call>",
    "doubled starts of a key": lambda n: "<tool_call>ping" + "<arg_key> " * (n // 10),
    "blanks in a key": lambda n: "<tool_call>ping<arg_key>a" + " " * n + "b</arg_key>",
    "blanks after a key": lambda n: "<tool_call>ping<arg_key>q</arg_key>" + " " * n,
    "written line breaks": lambda n: "<tool_call>ping<arg_key>q</arg_key>" + "\\n" * (n // 2) + "x",
    "backslashes": lambda n: "<tool_call>ping<arg_key>q</arg_key>" + "\\" * n,
    "a long name": lambda n: "<tool_call>" + "x" * n,
    "a long key": lambda n: "<tool_call>ping<arg_key>" + "x" * n + "</arg_key><arg_value></arg_value></tool_call>",
    "JSON": lambda n: '<tool_call>ping {"q": "' + "x" * n + '"}</tool_call>',
    "JSON begun": lambda n: '<tool_call>{"' * (n // 13),
    "JSON that is none": lambda n: '<tool_call>{"a"}</tool_call>' * (n // 28),
    "pairs": lambda n: "<tool_call>ping " + "k=1 " * (n // 4) + "</tool_call>",
    "pairs with an open quote": lambda n: "<tool_call>ping " + "k='" * (n // 3) + "</tool_call>",
    "thoughts": lambda n: "<think>" * (n // 7),
    "ends of thoughts": lambda n: "<think>x" + "</think>" * (n // 8),
    "calls in a thought": lambda n: "<think>" + "<tool_call>a b c " * (n // 17),
    "members of an object": lambda n: OPEN_OBJECT + "<arg_key>q</arg_key><arg_value>1</arg_value>" * (n // 44),
    "a member of an object": lambda n: OPEN_OBJECT + "<arg_key>q</arg_key><arg_value>" + "x" * n,
    "objects in an object": lambda n: OPEN_OBJECT + "<arg_key>o</arg_key><arg_value>" * (n // 31),
    "blanks in an object": lambda n: OPEN_OBJECT + "<arg_key>q</arg_key>" + "\n" * n + "<arg_value>",
    "keys in an object": lambda n: OPEN_OBJECT + "<arg_key>q</arg_key><arg_value></arg_value><arg_key>" + "q" * n,
    "the rest of a broken call": lambda n: OPEN_VALUE + "x</arg_value><arg_key>n<arg_key>" + "n</arg_key> " * (n // 12),
    "a thought that ends in a value": lambda n: OPEN_VALUE + "x</think>" * (n // 9) + "<tool_call>ping</tool_call>",
    "a number": lambda n: OPEN_VALUE.replace(">q<", ">n<") + "1" * n + "</arg_value></tool_call>",
    "brackets": lambda n: OPEN_VALUE.replace(">q<", ">n<") + "[" * n + "</arg_value></tool_call>",
    "open Python strings": lambda n: OPEN_VALUE.replace(">q<", ">n<") + "['" * (n // 2) + "</arg_value></tool_call>",
    "escapes": lambda n: OPEN_VALUE.replace(">q<", ">n<") + '\\"' * (n // 2) + "</arg_value></tool_call>",
}


@pytest.mark.parametrize("pieces", [list, lambda text: [text]], ids=["characters", "whole"])
@pytest.mark.parametrize("shape", HOSTILE_TAGGED)
def test_work_grows_with_tagged_output_and_no_faster(shape: str, pieces: Callable[[str], list[str]]) -> None:
    tools = [tool("ping"), tool("x")]

    def work(size: int) -> int:
        text = pieces(HOSTILE_TAGGED[shape](size))
        return work_of(lambda: parse(FORMATS["glm47"], text, tools))

    small, large = work(800), work(3200)
    assert large <= 5 * small + 1000


@pytest.mark.parametrize("body", ["[", "(", "{", "-", "{1:", "'", "\\", "[1,", "not ", "~", "a.", "1+", "f("])
@pytest.mark.parametrize("head", ["ping\ntool_call(a=", 'ping\n{"a": '])
@pytest.mark.parametrize("name", ["chatglm3", "glm4"])
def test_deep_nesting_is_no_call(name: str, head: str, body: str) -> None:
    """Python's own parsers may exhaust the stack on such text, and the process with it."""
    text = head + body * 200_000
    closed = text + {"[": "]", "(": ")", "{": "}"}.get(body, "1") * 200_000 + ("}" if "{" in head else ")")
    for each in (text, closed):
        content, _, calls = summary(parse(FORMATS[name], [each], [tool("ping")]))
        assert (content, calls) == (each, [])
