"""From pieces to an answer's events: stop strings, a single call, and the reason of the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.answer import Answer
from chatglm_server.chat import Message, ParserEvent, Thinking, Tool
from chatglm_server.engine.output import Output
from chatglm_server.formats.base import Special
from chatglm_server.formats.registry import FORMATS

TOOLS = [Tool({"name": "look_up"})]
CALL = "look_up\n```python\ntool_call(word='stop here')\n```"


def output(*stop: str, parallel: bool = True) -> Output:
    return Output(FORMATS["chatglm3"].parser(TOOLS), stop, parallel_tool_calls=parallel)


def answer(out: Output, *pieces: str | Special, cut: bool = False) -> tuple[Answer, str]:
    events: list[ParserEvent] = []
    for piece in pieces:
        events += out.feed(piece)
    rest, reason = out.finish(cut=cut)
    return Answer.of([*events, *rest]), reason


@given(text=st.text(alphabet="ab#\n", max_size=40), cut=st.integers(0, 40))
def test_content_ends_before_the_stop_string(text: str, cut: int) -> None:
    out = output("a#b", "##")
    got, reason = answer(out, "x" + text[:cut], text[cut:])
    ends = [(place, stop) for stop in ("a#b", "##") if (place := text.find(stop)) >= 0]
    expected = "x" + (text[: min(ends)[0]] if ends else text)
    assert got.content.rstrip() == expected.rstrip()
    assert (reason, out.stop_string) == ("stop", min(ends)[1] if ends else None)


def test_stop_string_does_not_look_into_calls() -> None:
    got, reason = answer(output("stop"), CALL)
    assert [call.arguments for call in got.tool_calls] == ['{"word": "stop here"}']
    assert reason == "tool_calls"


def test_text_that_only_began_a_stop_string_goes_out_before_the_call() -> None:
    got, _ = answer(output("#!"), "\nsee #", Special("<|assistant|>"), CALL)
    assert (got.content, len(got.tool_calls)) == ("see #", 1)


@pytest.mark.parametrize(
    ("pieces", "cut", "reason"),
    [
        (("\nhello",), False, "stop"),
        (("\nhello",), True, "length"),
        ((CALL,), False, "tool_calls"),
        ((CALL,), True, "length"),
        ((CALL[:-8],), True, "length"),
    ],
)
def test_reason(pieces: tuple[str, ...], cut: bool, reason: str) -> None:
    assert answer(output(), *pieces, cut=cut)[1] == reason


def test_single_call() -> None:
    pieces = (CALL, Special("<|assistant|>"), CALL)
    assert len(answer(output(), *pieces)[0].tool_calls) == 2
    got, reason = answer(output(parallel=False), *pieces, cut=True)
    assert (len(got.tool_calls), reason) == (1, "tool_calls")


@pytest.mark.parametrize("enabled", [None, True, False])
@pytest.mark.parametrize("name", FORMATS)
def test_a_beginning_that_the_client_has_is_in_no_event(name: str, enabled: bool | None) -> None:
    chat_format = FORMATS[name]
    prompt = chat_format.render([Message("user", "What is wet?")], thinking=Thinking(enabled=enabled))
    begun = Message("assistant", "The sea", reasoning="Think of rain." if prompt.ends_in_think else "")
    out = Output(chat_format.parser(prompt_ends_in_think=prompt.ends_in_think), in_thought=prompt.ends_in_think)
    out.begin(chat_format.text_opening(begun, prompt), begun.content)
    assert out.in_thought is False
    got, reason = answer(out, ", and", " rain")
    assert (got.content, got.reasoning, reason) == (", and rain", "", "stop")
