"""Every recorded conversation makes the prompt that the model was trained on."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from chatglm_server.cli.format_commands import read_thinking
from chatglm_server.formats.base import Special
from chatglm_server.formats.registry import FORMATS

from .case_files import Case, conversation, declared, parameters, read_cases

CASES = read_cases("render_cases.jsonl")

DEVIATIONS: dict[str, tuple[str, Callable[[str], str]]] = {
    "chatglm3/tools-system": (
        "the client's system message is kept, in a block after the tools': nothing that was sent may be lost",
        lambda expected: expected.replace("<|user|>", "<|system|>\nBe brief.<|user|>"),
    ),
    "chatglm3/llamacpp-template": (
        "that peer spells out the tokenizer's blank before each text; ours come from the tokenizer",
        lambda expected: expected.replace("\n ", "\n"),
    ),
    "glm4/llamacpp-builtin-template": (
        "that peer ends the prompt with a line break, which the model's own template leaves to the model",
        lambda expected: expected.removesuffix("\n"),
    ),
    "glm52/PITFALL-null-content-and-tool-parts-unnormalised": (
        "the case shows a fault of the template, which writes the word None for content that is null",
        lambda expected: expected.replace("None", ""),
    ),
}
"""Further cases that we render otherwise, with the reason and what we make of what they expect."""


@pytest.mark.parametrize("case", parameters(CASES))
def test_case(case: Case) -> None:
    prompt = FORMATS[case["format"]].render(conversation(case), declared(case), read_thinking(case))
    if not case.get("add_generation_prompt", True):
        prompt = prompt.history

    expected = {case["expected_prompt"], case.get("expected_prompt_hf_jinja", case["expected_prompt"])}
    if case["origin"] == "further" and case["id"] in DEVIATIONS:
        _, ours = DEVIATIONS[case["id"]]
        assert prompt.text not in expected
        expected = {ours(case["expected_prompt"])}
    assert prompt.text in expected


@pytest.mark.parametrize("case", parameters(CASES))
def test_no_special_token_comes_from_text(case: Case) -> None:
    """What the client wrote is the same number of special tokens with every angle bracket taken out."""
    chat_format = FORMATS[case["format"]]
    if any("</think>" in str(message["content"]) for message in case["messages"]):
        return  # the layout itself splits this
    harmless = json.loads(json.dumps(case).replace("<", "(").replace("[g", "(g"))
    specials, harmless_specials = (
        [
            piece
            for piece in chat_format.render(conversation(each), declared(each), read_thinking(each)).pieces
            if isinstance(piece, Special)
        ]
        for each in (case, harmless)
    )
    assert specials == harmless_specials
    assert {piece.name for piece in specials} <= set(chat_format.special_tokens)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_cases(name: str) -> None:
    assert any(case["format"] == name and case["origin"] == "own" for case in CASES)
