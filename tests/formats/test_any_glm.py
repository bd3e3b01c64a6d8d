"""A model whose name says less than what it writes: calls of the name's format, and tagged calls of declared tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.chat import ParserEvent, Tool, ToolCallStart
from chatglm_server.cli.format_commands import parse_pieces
from chatglm_server.formats.any_glm import any_glm_parser
from chatglm_server.formats.registry import FORMATS

from .case_files import summary
from .test_properties import CALLS, PARTS, TAGGED, TAGGED_FORMATS, check_calls, cut, tool

SAVE = Tool({"name": "save", "parameters": {"properties": {"text": {"type": "string"}, "to": {"type": "integer"}}}})
TAGGED_CALL = "<tool_call>save<arg_key>text</arg_key><arg_value>海</arg_value></tool_call>"
JSON_CALL = '<tool_call>{"name": "save", "arguments": {"text": "海"}}</tool_call>'
JSON_LINES = 'save\n{"to": 1}'
INLINE_CALL = {
    "chatglm3": "save\n```python\ntool_call(to=1)\n```",
    **dict.fromkeys(("glm4", "glm4-0414", "glm-z1"), JSON_LINES),
}


def read(
    name: str, pieces: Sequence[str], tools: Sequence[Tool] = (SAVE,), *, think: bool = False
) -> list[ParserEvent]:
    parser = any_glm_parser(FORMATS[name], tools, prompt_ends_in_think=think)
    return parse_pieces(pieces, parser, FORMATS[name].special_tokens)


def answer(name: str, text: str, *, think: bool = False) -> tuple[str, str, list[tuple[str, Any]]]:
    """(content, reasoning, calls), the same however the text is cut."""
    whole = summary(read(name, [text], think=think))
    assert summary(read(name, list(text), think=think)) == whole
    content, reasoning, calls = whole
    return content, reasoning, [(called, json.loads(arguments)) for called, arguments in calls]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("block", [TAGGED_CALL, JSON_CALL])
def test_a_tagged_call_of_a_declared_tool_is_one_under_any_name(name: str, block: str) -> None:
    assert answer(name, f"So:\n{block}\n") == ("So:", "", [("save", {"text": "海"})])


@pytest.mark.parametrize("name", [name for name in FORMATS if name not in TAGGED_FORMATS])
def test_other_blocks_stay_text(name: str) -> None:
    for text in (
        TAGGED_CALL.replace("save", "other"),
        JSON_CALL.replace("save", "other"),
        "<tool_call>other</tool_call>",
        "The tag <tool_call> begins a call.",
        "<tool_call>save<arg_key>text</arg_key></tool_call>",
    ):
        assert answer(name, text) == (text, "", [])


@pytest.mark.parametrize("name", INLINE_CALL)
def test_both_kinds_of_calls_are_numbered_together(name: str) -> None:
    text = f"One.\n{INLINE_CALL[name]}\n{TAGGED_CALL}\n{INLINE_CALL[name]}\nTwo."
    content, reasoning, calls = answer(name, text)
    starts = [event.index for event in read(name, [text]) if isinstance(event, ToolCallStart)]

    assert calls == [("save", {"to": 1}), ("save", {"text": "海"}), ("save", {"to": 1})]
    assert (content.split(), reasoning) == (["One.", "Two."], "")
    assert starts == [0, 1, 2]


@pytest.mark.parametrize("name", INLINE_CALL)
def test_tags_in_the_arguments_of_an_untagged_call_are_text(name: str) -> None:
    quoted = json.dumps(TAGGED_CALL, ensure_ascii=False)
    call = INLINE_CALL[name].replace("to=1", f"text={quoted}").replace('"to": 1', f'"text": {quoted}')
    assert answer(name, call) == ("", "", [("save", {"text": TAGGED_CALL})])


@pytest.mark.parametrize("name", ["glm4", "glm-z1"])
def test_a_lone_object_is_still_a_call(name: str) -> None:
    lone = '{"name": "save", "arguments": {"text": "<tool_call>save</tool_call>"}}'
    assert answer(name, lone) == ("", "", [("save", {"text": "<tool_call>save</tool_call>"})])
    lone = '{"name": "save", "arguments": {}}'
    assert answer(name, lone + TAGGED_CALL) == (lone, "", [("save", {"text": "海"})])


def test_a_call_ends_a_thought() -> None:
    assert answer("glm4", f"Hm.{TAGGED_CALL}", think=True) == ("", "Hm.", [("save", {"text": "海"})])
    assert answer("glm4", f"<think>Hm.</think>{TAGGED_CALL}") == ("", "Hm.", [("save", {"text": "海"})])


def test_parts_of_an_answer_are_read_one_after_the_other() -> None:
    parts = f"\nSo:<|assistant|>{TAGGED_CALL}<|assistant|>save\n```python\ntool_call()\n```"
    assert answer("chatglm3", parts) == ("So:", "", [("save", {"text": "海"}), ("save", {})])
    parts = f"<tool_call>save<|assistant|>\nSo.<|observation|>{TAGGED_CALL}"
    assert answer("chatglm3", parts) == ("So.", "", [("save", {})])


outputs = st.lists(st.sampled_from((*PARTS, *CALLS, *TAGGED)), max_size=16).map("".join)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*FORMATS]), outputs, st.booleans(), st.lists(st.integers(0, 999), max_size=5))
def test_any_output_is_read_alike_however_it_is_cut(name: str, text: str, think: bool, places: list[int]) -> None:
    tools = [tool(each) for each in ("ping", "a.b", "interpreter", "x")]
    whole = read(name, [text], tools, think=think)

    assert summary(read(name, cut(text, places), tools, think=think)) == summary(whole)
    assert summary(read(name, list(text), tools, think=think)) == summary(whole)
    check_calls(whole)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(["chatglm2", "chatglm3", "glm4"]), outputs)
def test_without_tools_it_is_the_formats_own_parser(name: str, text: str) -> None:
    own = parse_pieces([text], FORMATS[name].parser([]), FORMATS[name].special_tokens)
    assert summary(read(name, [text], [])) == summary(own)
