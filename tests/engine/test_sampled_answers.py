"""When a message of the history is an answer that was given, and when it is another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from chatglm_server.answer import Answer
from chatglm_server.chat import Message, ReasoningDelta, TextDelta, ToolCall, ToolCallDelta, ToolCallStart
from chatglm_server.engine.sampled_answers import Notes, Place, SampledAnswers
from chatglm_server.formats.base import EarlierAnswer

ARGUMENTS = {"path": "a.py", "edits": [{"old": "1", "new": "2.0"}], "count": 1, "all": True}
PLACE = b"here"
SENT = Message(
    "assistant", "I edit.", (ToolCall("toolu_7", "edit", ARGUMENTS),), reasoning="One more edit, then I am done."
)


def given(begun: Message | None = None, notes: Notes | None = None) -> SampledAnswers:
    """One answer, of the tokens 1, 2, 3."""
    answer = Answer.of(
        [
            ReasoningDelta(SENT.reasoning),
            TextDelta("I edit.\n"),
            ToolCallStart(0, "call_7", "edit"),
            ToolCallDelta(0, json.dumps(ARGUMENTS)),
        ]
    )
    answers = SampledAnswers(lambda: notes)
    answers.add(PLACE, [], [1, 2, 3], answer, begun)
    return answers


def found(message: Message, answers: SampledAnswers | None = None, *, keeps_thought: bool = True) -> Sequence[int]:
    earlier = EarlierAnswer(message, 0, 1, keeps_thought)
    return list((answers or given()).find(PLACE, earlier) or ())


def with_call(id_: str = "toolu_7", name: str = "edit", **arguments: Any) -> Message:
    return replace(SENT, tool_calls=(ToolCall(id_, name, ARGUMENTS | arguments),))


@pytest.mark.parametrize(
    "message",
    [
        SENT,
        replace(SENT, reasoning=""),
        replace(SENT, reasoning="", content=f"<think>{SENT.reasoning}</think>\n\nI edit."),
        replace(SENT, content="  I edit. "),
        replace(SENT, tool_calls=(ToolCall("1", "edit", dict(reversed(ARGUMENTS.items()))),)),
        with_call(replace_all=False),
        with_call(edits=[{"old": "1", "new": "2.0", "replace_all": False}]),
        with_call(count=1.0),
    ],
)
def test_an_answer_that_comes_back(message: Message) -> None:
    assert found(message) == [1, 2, 3]


@pytest.mark.parametrize(
    "message",
    [
        replace(SENT, content="I edited."),
        replace(SENT, reasoning="Another thought."),
        replace(SENT, tool_calls=()),
        replace(SENT, tool_calls=SENT.tool_calls * 2),
        with_call(name="write"),
        with_call(id_="toolu_8", replace_all=False),
        with_call(path="b.py"),
        with_call(edits=[]),
        with_call(edits=[{"old": "1"}]),
        with_call(count=True),
        with_call(all=1),
        replace(SENT, tool_calls=(ToolCall("call_7", "edit", "no object"),)),
    ],
)
def test_a_message_that_was_changed(message: Message) -> None:
    assert found(message) == []


def test_an_answer_to_another_prompt() -> None:
    assert given().find(b"elsewhere", EarlierAnswer(SENT, 0, 1, True)) is None


def test_a_thought_that_the_format_leaves_out() -> None:
    assert found(SENT, keeps_thought=False) == []


def test_an_answer_that_went_on_from_text() -> None:
    begun = Message("assistant", "As you wish. ")
    answers = given(begun)
    assert found(replace(SENT, content="As you wish. I edit."), answers) == [1, 2, 3]
    assert found(SENT, answers) == []


def test_one_of_several_answers() -> None:
    answers = given()
    for number in range(3):
        answers.add(PLACE, [], [number], Answer.of([TextDelta(f"Answer {number}.")]), None)
    assert found(Message("assistant", "Answer 1."), answers) == [1]
    assert found(SENT, answers) == [1, 2, 3]


class Shelf:
    """Notes in a dictionary."""

    def __init__(self) -> None:
        self.notes: dict[str, bytes] = {}

    def keep_note(self, name: str, prefix: Sequence[int], note: bytes) -> None:
        self.notes[name] = note

    def find_note(self, name: str) -> bytes | None:
        return self.notes.get(name)


def test_another_server_finds_what_was_noted() -> None:
    shelf = Shelf()
    given(notes=shelf)
    assert found(SENT, SampledAnswers()) == []
    assert found(with_call(more=1), SampledAnswers(lambda: shelf)) == [1, 2, 3]
    for broken in (b"", b'[[[-1],"","",[]]]', b'[[[1],"",2,[]]]', b"[[" * 100_000):
        shelf.notes = dict.fromkeys(shelf.notes, broken)
        assert found(SENT, SampledAnswers(lambda: shelf)) == []


def test_a_place_is_known_by_its_tokens() -> None:
    at_once, in_parts = Place(), Place()
    at_once.go_on([1, 2, 70_000])
    in_parts.go_on([1])
    in_parts.go_on([2, 70_000])
    assert at_once.key == in_parts.key
    in_parts.go_on([0])
    assert at_once.key != in_parts.key
