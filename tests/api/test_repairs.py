"""What was mended of a model's calls, and calls that turned out to be none: in the answer, the stream and the log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from chatglm_server.answer import Answer
from chatglm_server.api.http.access_log import RequestRecord
from chatglm_server.api.openai.chat_completion import ChatCompletion
from chatglm_server.chat import Accepted, Event, Finish, FinishReason, Tool, Usage
from chatglm_server.engine.output import Output
from chatglm_server.formats.registry import FORMATS
from tests.serving import RunningServer

LOOK = Tool({"name": "look", "parameters": {"properties": {"at": {"type": "string"}}, "required": ["at"]}})
MENDED = "Wait. <tool_call>look<arg_key>at</arg_key>the <sea></arg_value></tool_call></tool_call>"
ABANDONED = "Wait. <tool_call>look<arg_key>at</arg_key><arg_value>the se"
BEGUN = "Wait. <tool_call>look<arg_key>at</arg_key><arg_value>"


def events_of(text: str, *, cut: bool = False, stop: tuple[str, ...] = ()) -> list[Event]:
    """The events of the model text `text`, as the engine gives them."""
    output = Output(FORMATS["glm47"].parser([LOOK]), stop)
    events: list[Event] = [event for char in text for event in output.feed(char)]
    rest, reason = output.finish(cut=cut)
    return [*events, *rest, Finish(reason, Usage())]


def streamed(events: list[Event], shape: ChatCompletion) -> tuple[str, list[dict[str, Any]], FinishReason | None]:
    """Content, deltas of calls, and finish reason of a stream."""
    sent = [part.data for event in events if not isinstance(event, Accepted) for part in shape.add(event)]
    choices = [chunk["choices"][0] for chunk in sent if isinstance(chunk, dict)]
    content = "".join(choice["delta"].get("content") or "" for choice in choices)
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    return content, calls, choices[-1]["finish_reason"]


@pytest.mark.parametrize("report", [True, False])
def test_repairs_are_reported_if_wanted(report: bool) -> None:
    events, shape = events_of(MENDED), ChatCompletion("m", report_repairs=report)
    repairs = {"x_repairs": ["missing <arg_value>", "doubled </tool_call>"]} if report else {}
    choice = shape.whole([Answer.of(events)])["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    content, calls, reason = streamed(events, shape)

    assert (choice["message"]["content"], choice["finish_reason"]) == ("Wait.", "tool_calls")
    assert {**call, "id": ""} == {
        "id": "",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at": "the <sea>"}'},
        **repairs,
    }
    assert (content, reason) == ("Wait.", "tool_calls")
    assert "".join(delta["function"]["arguments"] for delta in calls) == call["function"]["arguments"]
    assert [delta["x_repairs"] for delta in calls if "x_repairs" in delta] == list(repairs.values())
    assert {delta["index"] for delta in calls} == {0}


def test_a_call_that_is_none_is_content() -> None:
    events, shape = events_of(ABANDONED, cut=True), ChatCompletion("m")
    message = shape.whole([Answer.of(events)])["choices"][0]["message"]
    content, calls, reason = streamed(events, shape)

    assert message["content"] == content == ABANDONED
    assert "tool_calls" not in message
    assert calls, "it had begun"
    assert reason == "length"


def test_without_a_call_the_answer_just_stops() -> None:
    assert streamed(events_of(BEGUN), ChatCompletion("m")) == (BEGUN, [], "stop")


def test_a_call_that_the_model_broke_off_is_the_same_call_in_the_stream_and_in_the_whole_answer() -> None:
    """What a stream sent of it cannot be taken back, so it ends as valid JSON in both."""
    events, shape = events_of(ABANDONED), ChatCompletion("m")
    choice = shape.whole([Answer.of(events)])["choices"][0]
    content, calls, reason = streamed(events, shape)
    (call,) = choice["message"]["tool_calls"]

    assert (content, reason) == (choice["message"]["content"], choice["finish_reason"]) == ("Wait.", "tool_calls")
    assert "".join(delta["function"]["arguments"] for delta in calls) == call["function"]["arguments"]
    assert json.loads(call["function"]["arguments"]) == {"at": "the se"}


def test_stop_strings_hold_for_such_content() -> None:
    answer = Answer.of(events_of(ABANDONED, cut=True, stop=("the",)))
    assert (answer.content, answer.tool_calls) == (ABANDONED.partition("the")[0], [])


def test_the_log_names_what_was_mended_and_no_text() -> None:
    record = RequestRecord()
    for event in [*events_of(MENDED), *events_of(MENDED), *events_of(ABANDONED, cut=True)]:
        record.note(event)

    names = quote(",".join(record.calls), safe=",")
    assert (
        record.summary()
        == f'calls={names} repaired="missing <arg_value> x2, doubled </tool_call> x2" abandoned_calls=1'
    )


def test_over_http(tmp_path: Path) -> None:
    """The option, a recording and a client: on the call, in the stream, and in the log line."""
    path = tmp_path / "mended.jsonl"
    path.write_text(json.dumps({"raw": MENDED, "format": "glm47", "chunk_size": 3}) + "\n")
    body = {
        "messages": [{"role": "user", "content": "What is there?"}],
        "tools": [{"type": "function", "function": LOOK.function}],
    }
    repairs = ["missing <arg_value>", "doubled </tool_call>"]
    with RunningServer("--model", f"replay:{path}", "--report-repairs") as server:
        whole = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).json()
        stream = httpx.post(f"{server.url}/v1/chat/completions", json={**body, "stream": True}, timeout=60).text
        server.wait_for_line('repaired="missing <arg_value>, doubled </tool_call>"')
    assert whole["choices"][0]["message"]["tool_calls"][0]["x_repairs"] == repairs
    chunks = [json.loads(line.removeprefix("data: ")) for line in stream.splitlines() if line.startswith("data: {")]
    deltas = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [delta["x_repairs"] for delta in deltas if "x_repairs" in delta] == [repairs]
