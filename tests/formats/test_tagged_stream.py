"""What of a tagged answer goes out when: as soon as it is certain, and not before."""

from __future__ import annotations

import json

import pytest

from chatglm_server.chat import (
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
)
from chatglm_server.formats.registry import FORMATS

WRITE = Tool(
    {
        "name": "write",
        "parameters": {
            "properties": {"path": {"type": "string"}, "text": {"type": "string"}, "mode": {"type": "integer"}},
            "required": ["text"],
        },
    }
)

BROKEN = "0 mended: arguments broken off"


class Stream:
    """A parser and short forms of what it gives."""

    def __init__(self, *, inside: bool = False, tools: list[Tool] | None = None) -> None:
        self._parser = FORMATS["glm47"].parser([WRITE] if tools is None else tools, prompt_ends_in_think=inside)

    def feed(self, text: str) -> list[str]:
        return [short(event) for event in self._parser.feed(text)]

    def end(self) -> list[str]:
        return [short(event) for event in self._parser.flush("stop")]


def short(event: ParserEvent) -> str:
    match event:
        case TextDelta(text):
            return f"text {text}"
        case ReasoningDelta(text):
            return f"thought {text}"
        case ToolCallStart(index, _, name):
            return f"{index} {name}"
        case ToolCallDelta(index, arguments):
            return f"{index}: {arguments}"
        case ToolCallRepaired(index, repairs):
            return f"{index} mended: {', '.join(repairs)}"
        case ToolCallAbandoned(index, text):
            return f"{index} none: {text}"


def test_text_and_thoughts_go_out_at_once() -> None:
    stream = Stream(inside=True)

    assert stream.feed("\nIf a <") == ["thought If a"]
    assert stream.feed(" b") == ["thought  < b"]
    assert stream.feed(" \n</thi") == []
    assert stream.feed("nk>\n") == []
    assert stream.feed("No, a <tool") == ["text No, a"]
    assert stream.feed("s> b") == ["text  <tools> b"]
    assert stream.end() == []


def test_a_declared_string_goes_out_in_pieces() -> None:
    stream = Stream()

    assert stream.feed("<tool_call>write<arg_key>text</arg_key><arg_value>") == []
    assert stream.feed('say "海') == ["0 write", '0: {"text": "say \\"海']
    assert stream.feed(" ") == []
    assert stream.feed("</arg_value") == []
    assert stream.feed("> no") == ["0:  </arg_value> no"]
    assert stream.feed("</arg_value>\n") == []
    assert stream.feed("<arg_key>mode</arg_key><arg_value>4") == []
    assert stream.feed("20</arg_value><arg_key>path</arg_key><arg_value>/a") == [
        '0: ", "mode": 420',
        '0: , "path": "/a',
    ]
    assert stream.feed("</arg_value></tool_call>") == ['0: "}']
    assert stream.end() == []


def test_a_surrogate_pair_is_not_torn() -> None:
    stream = Stream()
    stream.feed("<tool_call>write<arg_key>text</arg_key><arg_value>")

    assert stream.feed("a\ud83c") == ["0 write", '0: {"text": "a']
    assert stream.feed("\udf0a\ud83c") == ["0: 🌊"]
    assert stream.feed("</arg_value></tool_call>") == ["0: \ufffd", '0: "}']


def test_a_name_that_is_not_declared_waits_for_the_end() -> None:
    stream = Stream()

    assert stream.feed("<tool_call>other<arg_key>a</arg_key><arg_value>1</arg_value>") == []
    assert stream.feed("</tool_call>") == ["0 other", '0: {"a": 1', "0: }"]


def test_a_block_that_breaks_off_before_anything_was_sent_is_text() -> None:
    stream = Stream()
    broken = "<tool_call>write<arg_key>text</tool_call>"

    assert stream.feed(broken) == [f"text {broken}"]
    assert stream.feed("<tool_call>write</tool_call>") == ["0 write", "0: {}"]


def test_a_call_is_not_begun_before_its_required_arguments_have() -> None:
    stream = Stream()

    assert stream.feed("<tool_call>write<arg_key>path</arg_key><arg_value>/a</arg_value><arg_key>text") == []
    assert stream.feed("</arg_key><arg_value> ") == []
    assert stream.feed("x") == ["0 write", '0: {"path": "/a', '0: ", "text": " x']


@pytest.mark.parametrize(
    ("rest", "events"),
    [
        ("</arg_value><arg_key>mode</tool_call> So", ['0: "}', BROKEN, "text So"]),
        ("</arg_value><arg_key>mode</arg_key></tool_call>", ['0: "}', BROKEN]),
        ("</arg_value><arg_key>mode</arg_key><tool_call>write</tool_call>", ['0: "}', BROKEN, "1 write", "1: {}"]),
        ("</arg_value><arg_key>mode<arg_key>path</arg_key>/a</arg_value> and </tool_call>", ['0: "}', BROKEN]),
        ("</arg_value><arg_key>mode</arg_key><arg_value>4", ['0: "}', BROKEN]),
        ("</arg_value><arg_key>mo", ['0: "}', BROKEN]),
        ("</arg_value>", ['0: "}', "0 mended: missing </tool_call>"]),
        ("</arg_value> <tool_call>wri", ['0: "}', "0 mended: missing </tool_call>", "text <tool_call>wri"]),
        ("</arg_val", ["0: </arg_val", '0: "}', BROKEN]),
        (" <arg_key>mo", ['0: "}', BROKEN]),
        (" \n", ['0: "}', BROKEN]),
    ],
)
def test_a_call_that_breaks_off_later_ends_with_its_last_good_argument(rest: str, events: list[str]) -> None:
    stream = Stream()
    stream.feed("<tool_call>write<arg_key>text</arg_key><arg_value>x")

    assert [*stream.feed(rest), *stream.end()] == events


def test_a_call_that_was_given_up_ends_before_the_end_of_its_thought() -> None:
    """A thought ends in a value that is not closed. The text after it is kept."""
    stream = Stream()

    assert stream.feed("<tool_call>write<arg_key>text</arg_key><arg_value>a") == ["0 write", '0: {"text": "a']
    assert stream.feed("</think>No. <tool_call>write") == []
    assert stream.feed("</tool_call>") == ['0: "}', BROKEN, "text No.", "1 write", "1: {}"]


def test_a_call_inside_an_open_thought_is_sent_once_it_is_whole() -> None:
    """The model may give it up, and then nothing of it was sent."""
    begun = "Hm. <tool_call>write<arg_key>text</arg_key><arg_value>a"
    whole, given_up = Stream(inside=True), Stream(inside=True)

    assert whole.feed(begun) == given_up.feed(begun) == ["thought Hm."]
    assert whole.feed("</arg_value></tool_call>") == ["0 write", '0: {"text": "a', '0: "}']
    assert given_up.feed("</think>No.</tool_call>") == []
    assert given_up.end() == ["text No."]


def test_repairs_follow_the_call() -> None:
    stream = Stream()

    assert stream.feed("<tool_call>writetext</arg_key>") == []
    assert stream.feed("x</arg_value></tool_call>") == ["0 write", '0: {"text": "x', '0: "}']
    assert stream.feed("</tool_call>\nSo") == [
        "0 mended: missing <arg_key>, missing <arg_value>, doubled </tool_call>",
        "text So",
    ]


def test_prose_is_not_held_longer_than_it_may_be_a_name() -> None:
    stream = Stream()

    assert stream.feed("A <tool_call> is") == ["text A"]
    assert stream.feed(" written ") == []
    assert stream.feed("so") == ["text  <tool_call> is written so"]
    assert Stream().feed("<tool_call>" + "x" * 600) == ["text <tool_call>" + "x" * 600]


def test_without_tools_tags_of_calls_are_text() -> None:
    stream = Stream(tools=[], inside=True)

    assert stream.feed("a <tool_call>b</think>c <tool_call>write</tool_call> \n") == [
        "thought a <tool_call>b",
        "text c <tool_call>write</tool_call>",
    ]
    assert stream.end() == ["text  \n"]


@pytest.mark.parametrize("length", [1, 7, 64])
def test_a_long_string_comes_in_many_pieces(length: int) -> None:
    text = 'def f(a):\n    return "x" < a  # 长\n' * 40
    raw = f"<tool_call>write<arg_key>text</arg_key><arg_value>{text}</arg_value></tool_call>"
    parser = FORMATS["glm45"].parser([WRITE])
    events = [event for at in range(0, len(raw), length) for event in parser.feed(raw[at : at + length])]
    fragments = [event.arguments for event in events if isinstance(event, ToolCallDelta)]

    assert json.loads("".join(fragments)) == {"text": text}
    assert len(fragments) > len(text) // length // 3
    assert max(map(len, fragments)) < 2 * length + 40
