"""Every recorded model output is read as the message it is, however it is cut."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from chatglm_server.chat import FinishReason, ParserEvent
from chatglm_server.cli.format_commands import parse_pieces
from chatglm_server.formats.registry import FORMATS

from .case_files import Case, declared, parameters, read_cases, repairs, summary

CASES = read_cases("parse_cases.jsonl")


def parse(case: Case, pieces: Sequence[str]) -> list[ParserEvent]:
    chat_format = FORMATS[case["format"]]
    parser = chat_format.parser(declared(case) or None, prompt_ends_in_think=case["prompt_ends_in_think"])
    reason: FinishReason = case.get("finish_reason", "stop")
    return parse_pieces(pieces, parser, chat_format.special_tokens, reason)


@pytest.mark.parametrize("case", parameters(CASES))
def test_case(case: Case) -> None:
    raw = case["raw"]
    events = parse(case, [raw])
    content, reasoning, calls = whole = summary(events)

    assert content.strip() == (case["content"] or "").strip()
    assert reasoning.strip() == (case["reasoning"] or "").strip()
    assert [(name, json.loads(arguments)) for name, arguments in calls] == [
        (call["name"], call["arguments"]) for call in case["tool_calls"]
    ]
    if "content_exact" in case:
        assert content == case["content_exact"]
    if not case["content"]:
        assert content == "", "blanks alone are no content"

    if "repairs" in case:
        assert repairs(events) == case["repairs"]

    assert summary(parse(case, list(raw))) == whole, "one character at a time"
    for at in range(1, len(raw)):
        assert summary(parse(case, [raw[:at], raw[at:]])) == whole, f"cut at {at}"


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_cases(name: str) -> None:
    assert any(case["format"] == name and case["origin"] == "own" for case in CASES)
