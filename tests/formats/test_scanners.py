"""Brackets, fences and markers are found at the same place however the text arrives."""

from __future__ import annotations

import pytest

from chatglm_server.formats.base import Special
from chatglm_server.formats.content import Content, TrailingBlanks
from chatglm_server.formats.scanning.brackets import BracketScanner, FenceScanner
from chatglm_server.formats.scanning.markers import MarkerScanner, SpecialTokenScanner

EXPRESSIONS = [
    "{}",
    "{[(())]}",
    '{"a": "}"}',
    "('it\\'s )')",
    "('\\\\')",
    "('' ')')",
    "(''')''')",
    "('''a'b''c\\')''')",
    '("""")""")',
    '{"": ""}',
    "(# it's )\n)",
    "('#)')",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_brackets_end_with_the_last_one(text: str) -> None:
    assert BracketScanner().feed(text + "})]'") == len(text)
    assert BracketScanner().feed("((" + text + ")", 2) == len(text) + 2

    scanner = BracketScanner()
    assert [scanner.feed(char) for char in text] == [None] * (len(text) - 1) + [1]


@pytest.mark.parametrize("text", ["{", "('", "('''a''", "{'a': [}", "(#)", '("\\")'])
def test_open_expressions_do_not_end(text: str) -> None:
    assert BracketScanner().feed(text) is None


@pytest.mark.parametrize("text", ["```py\nx\n```", "x\n```", "```\n```", "a ``` b\n``\n ```\n\n```"])
def test_a_block_ends_with_a_fence_at_a_line_start(text: str) -> None:
    assert FenceScanner().feed(text + "\n```") == len(text)

    scanner = FenceScanner()
    assert [scanner.feed(char) for char in text] == [None] * (len(text) - 1) + [1]


@pytest.mark.parametrize(
    ("text", "markers", "held"),
    [
        ("x<|us", ["<|user|>", "<u"], "<|us"),
        ("aab", ["abc", "b!"], "ab"),
        ("<|user|>", ["<|user|>"], ""),
        ("<<", ["<<a"], "<<"),
        ("^]-", ["]-x", "^y"], "]-"),
    ],
)
def test_the_longest_possible_beginning_is_held(text: str, markers: list[str], held: str) -> None:
    scanner = MarkerScanner(markers)
    scanner.feed(text)

    assert scanner.flush() == held


def test_markers_are_cut_out_and_only_their_beginnings_held() -> None:
    scanner = MarkerScanner(["<a>", "<ab>"])

    assert scanner.feed("x<a>y<") == [("x", False), ("<a>", True), ("y", False)]
    assert scanner.feed("ab>") == [("<ab>", True)]
    assert scanner.feed("<a") == []
    assert scanner.feed("c") == [("<ac", False)]
    assert scanner.feed("<") == []
    assert scanner.flush() == "<"
    assert scanner.flush() == ""


def test_without_markers_all_is_text() -> None:
    scanner = MarkerScanner([])

    assert scanner.feed("<") == [("<", False)]
    assert scanner.feed("") == []


def test_only_names_in_angle_brackets_are_read_as_special_tokens() -> None:
    scanner = SpecialTokenScanner(["<|user|>", "sop", "[MASK]"])

    assert scanner.feed("philosophy [MASK]<|user|>x<") == ["philosophy [MASK]", Special("<|user|>"), "x"]
    assert scanner.flush() == ["<"]


def test_trailing_blanks_wait_for_what_follows() -> None:
    blanks = TrailingBlanks()

    assert blanks.add("a \n") == "a"
    assert blanks.add(" ") == ""
    assert blanks.add("b") == " \n b"
    assert not blanks
    assert blanks.add("\t") == ""
    assert blanks
    assert blanks.take() == "\t"
    assert not blanks


def test_content_holds_back_blanks_and_beginnings_of_placeholders_only() -> None:
    content = Content([("{{year}}", "2023")])

    def texts(added: str) -> list[str]:
        return [event.text for event in content.add(added)]  # type: ignore[union-attr]

    assert texts(" \n") == []
    assert texts("In {{ye") == ["In"]
    assert texts("ar}} or {{") == [" 2023 or"]
    assert texts("y") == []
    assert [event.text for event in content.end(trim=False)] == [" {{y"]  # type: ignore[union-attr]
