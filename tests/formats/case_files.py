"""Case files: model output and the message it is (parse), a conversation and the prompt it makes (render).

One JSON object a line. The project's own are in ``cases/``; the environment variable CHATGLM_TEST_CASES may name a
folder with further ones in the same layout.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.answer import Answer
from chatglm_server.chat import Message, ParserEvent, Tool
from chatglm_server.format_commands import read_messages, read_tools
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
    return read_tools(case.get("tools"))


def conversation(case: Case) -> list[Message]:
    return read_messages(case["messages"])


def repairs(events: Iterable[ParserEvent]) -> list[str]:
    """What was mended of an answer's calls."""
    return [repair for call in Answer.of(events).tool_calls for repair in call.repairs]


def summary(events: Iterable[ParserEvent]) -> tuple[str, str, list[tuple[str, str]]]:
    """(content, reasoning, calls) of an answer, without the calls' ids."""
    answer = Answer.of(events)
    return answer.content, answer.reasoning, [(call.name, call.arguments) for call in answer.tool_calls]
