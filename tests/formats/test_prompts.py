"""What an engine needs to know of a prompt: how it ends, and what forces a call behind it."""

from __future__ import annotations

import json

import pytest

from chatglm_server.chat import Message, Thinking, Tool
from chatglm_server.cli.format_commands import parse_pieces
from chatglm_server.formats.base import Prompt, Special
from chatglm_server.formats.registry import FORMATS

from .case_files import summary

QUESTION = [Message("user", "<think>")]
TOOL = Tool({"name": "look", "parameters": {"properties": {"at": {"type": "string"}}}})
REST = {
    "chatglm3": "at='sea')\n```",
    "glm4": '"at": "sea"}',
    "glm4-0414": '"at": "sea"}',
    "glm-z1": '"at": "sea"}',
    "glm45": "<arg_key>at</arg_key>\n<arg_value>sea</arg_value>\n</tool_call>",
    "glm47": "<arg_key>at</arg_key><arg_value>sea</arg_value></tool_call>",
    "glm52": "<arg_key>at</arg_key><arg_value>sea</arg_value></tool_call>",
}


@pytest.mark.parametrize("name", FORMATS)
def test_whether_an_answer_begins_inside_a_thought(name: str) -> None:
    chat_format = FORMATS[name]

    assert chat_format.render(QUESTION).ends_in_think is (name in ("glm-z1", "glm47", "glm52"))
    if chat_format.thinking.off:
        assert not chat_format.render(QUESTION, thinking=Thinking(enabled=False)).ends_in_think
    assert not Prompt(()).ends_in_think


@pytest.mark.parametrize("enabled", [None, True, False])
@pytest.mark.parametrize("name", REST)
def test_a_forced_call_is_one_wherever_the_prompt_ends(name: str, enabled: bool | None) -> None:
    chat_format = FORMATS[name]
    prompt = chat_format.render(QUESTION, [TOOL], Thinking(enabled=enabled))
    opening = chat_format.call_opening("look", prompt)
    whole = Prompt((*prompt.pieces, *opening))
    answer = whole.text.removeprefix(prompt.text) + REST[name]
    parser = chat_format.parser([TOOL], prompt_ends_in_think=prompt.ends_in_think)
    content, reasoning, calls = summary(parse_pieces([answer], parser))

    assert (content, reasoning) == ("", "")
    ((called, arguments),) = calls
    assert (called, json.loads(arguments)) == ("look", {"at": "sea"})
    assert whole.text.count("<think>") - QUESTION[0].content.count("<think>") <= whole.text.count("</think>")


def test_a_thought_that_was_closed_is_not_closed_again() -> None:
    for name in ("glm45", "glm47", "glm52"):
        prompt = FORMATS[name].render(QUESTION, [TOOL], Thinking(enabled=False))
        assert Special("</think>") not in FORMATS[name].call_opening("look", prompt)


def test_tags_that_come_as_tokens_are_the_same() -> None:
    """Engines that know the tokens give them as such; others spell them out."""
    chat_format = FORMATS["glm47"]
    text = "Hm.</think>So.<tool_call>look<arg_key>at</arg_key><arg_value>sea</arg_value></tool_call>"
    answers = [
        summary(parse_pieces([text], chat_format.parser([TOOL], prompt_ends_in_think=True), names))
        for names in (chat_format.special_tokens, ())
    ]

    assert answers[0] == answers[1] == ("So.", "Hm.", [("look", '{"at": "sea"}')])
