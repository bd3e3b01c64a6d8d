"""Case files: model output and the message it is (parse), a conversation and the prompt it makes (render).

One JSON object a line. The project's own are in ``cases/``; the environment variable CHATGLM_TEST_CASES may name a
folder with further ones in the same layout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.chat import Answer, FinishReason, Message, ParserEvent, Tool, ToolCall
from chatglm_server.formats.arguments import NotAnObject, load_object
from chatglm_server.formats.base import OutputParser
from chatglm_server.formats.markers import SpecialTokenScanner
from chatglm_server.formats.registry import FORMATS

OWN = Path(__file__).parent / "cases"
Case = dict[str, Any]


def read_cases(name: str) -> list[Case]:
    """The cases of the files `name` whose format the server knows, the project's own first."""
    folders = [("own", OWN)]
    further = os.environ.get("CHATGLM_TEST_CASES")
    if further:
        folders.append(("further", Path(further)))
    cases = []
    for origin, folder in folders:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        cases += [{**json.loads(line), "origin": origin} for line in lines if line.strip()]
    return [case for case in cases if case["format"] in FORMATS]


def parameters(cases: Iterable[Case]) -> list[Any]:
    return [pytest.param(case, id=f"{case['origin']}:{case['id']}") for case in cases]


def declared(case: Case) -> list[Tool]:
    """A case's tools, which may be bare functions or OpenAI's wrappers round them."""
    return [Tool(tool.get("function", tool)) for tool in case.get("tools") or []]


def conversation(case: Case) -> list[Message]:
    return [
        Message(
            message["role"],
            message["content"] or "",
            tuple(
                ToolCall(call["id"], call["function"]["name"], _arguments(call["function"]["arguments"]))
                for call in message.get("tool_calls") or ()
            ),
            message.get("tool_call_id"),
        )
        for message in case["messages"]
    ]


def _arguments(text: str) -> dict[str, Any] | str:
    try:
        return load_object(text or "{}")
    except NotAnObject:
        return text


def parse_pieces(
    pieces: Sequence[str], parser: OutputParser, special_tokens: Iterable[str] = (), reason: FinishReason = "stop"
) -> list[ParserEvent]:
    """The events of text that arrives in `pieces`; special tokens may be spelled out in it."""
    scanner = SpecialTokenScanner(special_tokens)
    events: list[ParserEvent] = []
    for text in pieces:
        for piece in scanner.feed(text):
            events += parser.feed(piece)
    for piece in scanner.flush():
        events += parser.feed(piece)
    return events + parser.flush(reason)


def summary(events: Iterable[ParserEvent]) -> tuple[str, str, list[tuple[str, str]]]:
    """(content, reasoning, calls) of an answer, without the calls' ids."""
    answer = Answer.of(events)
    return answer.content, answer.reasoning, [(call.name, call.arguments) for call in answer.tool_calls]
