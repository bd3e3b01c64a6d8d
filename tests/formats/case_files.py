"""Case files: model output and the message it is (parse), a conversation and the prompt it makes (render).

One JSON object a line. The project's own are in ``cases/``. The environment variable CHATGLM_TEST_CASES may name a
folder with further ones, in which each line is a whole case.

Three things keep the project's own short. `tools` may name a list in ``tools.json``. Fields that are null, false or
empty may be left out. And a case with the format "tagged" is one for each dialect in ``dialects.json``, whose words
stand in it as ``«word»``, and the gap between its tags as ``¶``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.answer import Answer
from chatglm_server.chat import Message, ParserEvent, Tool
from chatglm_server.cli.format_commands import read_messages, read_tools
from chatglm_server.formats.registry import FORMATS

OWN = Path(__file__).parent / "cases"
Case = dict[str, Any]


def read_cases(name: str) -> list[Case]:
    """The cases of the files `name` whose format the server knows, the project's own first."""
    cases = [{**case, "origin": "own"} for line in read_lines(OWN / name) for case in expand(line)]
    further = os.environ.get("CHATGLM_TEST_CASES")
    if further:
        cases += [{**line, "origin": "further"} for line in read_lines(Path(further) / name)]
    return [case for case in cases if case["format"] in FORMATS]


def read_lines(path: Path) -> Iterator[Case]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.strip():
            yield json.loads(line)


def expand(line: Case) -> Iterator[Case]:
    """The whole cases that a line of the project's own stands for."""
    tools = line.get("tools") or []
    case: Case = {"prompt_ends_in_think": False, "content": None, "reasoning": None, "tool_calls": []} | line
    case["tools"] = TOOLS[tools] if isinstance(tools, str) else tools
    if case["format"] != "tagged":
        yield case
        return
    for dialect, words in DIALECTS.items():
        name = case["id"].removeprefix("tagged/")
        yield {**in_words(case, words), "id": f"{dialect}/{name}", "format": dialect}


def in_words(value: Any, words: dict[str, str]) -> Any:
    """A JSON value with a dialect's words in it."""
    if isinstance(value, dict):
        return {in_words(key, words): in_words(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [in_words(each, words) for each in value]
    if isinstance(value, str):
        for name, word in words.items():
            value = value.replace("¶" if name == "gap" else f"«{name}»", word)
    return value


TOOLS: dict[str, Any] = json.loads((OWN / "tools.json").read_text(encoding="utf-8"))
DIALECTS: dict[str, dict[str, str]] = json.loads((OWN / "dialects.json").read_text(encoding="utf-8"))


def parameters(cases: Iterable[Case]) -> list[Any]:
    return [pytest.param(case, id=f"{case['origin']}:{case['id']}") for case in cases]


def declared(case: Case) -> Sequence[Tool]:
    return read_tools(case.get("tools"))


def conversation(case: Case) -> Sequence[Message]:
    return read_messages(case["messages"])


def repairs(events: Iterable[ParserEvent]) -> list[str]:
    """What was repaired of an answer's calls."""
    return [repair for call in Answer.of(events).tool_calls for repair in call.repairs]


def summary(events: Iterable[ParserEvent]) -> tuple[str, str, list[tuple[str, str]]]:
    """(content, reasoning, calls) of an answer, without the calls' ids."""
    answer = Answer.of(events)
    return answer.content, answer.reasoning, [(call.name, call.arguments) for call in answer.tool_calls]
