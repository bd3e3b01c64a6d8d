"""The stream of the Responses API, event by event, from recorded answers; openai-python's types say what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI
from openai._streaming import SSEDecoder
from openai.types.responses import ResponseInputParam, ResponseStreamEvent
from pydantic import TypeAdapter

from chatglm_server.service import Service
from chatglm_server.settings import Settings
from tests.conftest import WEATHER
from tests.recordings import ANSWER, CALLS, PARALLEL, THINKS, THOUGHT, replay_file
from tests.serving_here import serving

TOOL: Any = {"type": "function", **WEATHER["function"]}
QUESTION = "What is the weather in Paris?"
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)

CALL_OF = "<tool_call>{name}<arg_key>{key}</arg_key><arg_value>{value}</arg_value></tool_call>"
PATCH_TEXT = '*** Begin Patch\n+"new"\n*** End Patch'


@contextmanager
def replayed(path: Path, **settings: Any) -> Iterator[tuple[str, Service]]:
    with serving(Settings(_env_file=None, model=f"replay:{path}", **settings)) as server:
        yield server


def client_of(url: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


def recorded(folder: Path, *lines: dict[str, Any]) -> Path:
    """Answers of GLM-4.7, whose prompts end inside a thought."""
    path = folder / "recorded.jsonl"
    text = [json.dumps({"format": "glm47", "prompt_ends_in_think": True, **line}) + "\n" for line in lines]
    path.write_text("".join(text), encoding="utf-8")
    return path


def streamed(url: str, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream, which ends with ``[DONE]``; each is what openai-python's types say, and named so."""
    sent = {"model": "gpt-5", "input": QUESTION, "stream": True} | body
    with httpx.stream("POST", f"{url}/v1/responses", json=sent, timeout=60) as response:
        assert response.status_code == 200, response.read()
        *events, end = SSEDecoder().iter_bytes(response.iter_bytes())
    assert end.data == "[DONE]"
    for event in events:
        assert event.event == event.json()["type"]
        EVENT.validate_python(event.json())
    return [event.json() for event in events]


def items_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The items that a client puts together from `events`, whose order it checks; and those of the last response."""
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    created, last = events[0]["response"], events[-1]["response"]
    assert created["id"] == last["id"]
    assert created["output"] == []
    items: list[dict[str, Any]] = []
    text, opened = "", False
    for event in events[2:-1]:
        kind = event["type"].removeprefix("response.")
        if kind == "in_progress":
            continue
        if kind == "output_item.added":
            assert not opened, "one item is open at a time"
            text, opened = "", True
            items.append(event["item"])
            assert event["item"]["status"] == "in_progress"
            parts = 0
        assert opened
        assert event["output_index"] == len(items) - 1
        if "item" not in event:
            assert event["item_id"] == items[-1]["id"]
        if kind.endswith("part.added"):
            parts += 1
        elif kind.endswith(".delta"):
            assert parts or "call" in kind, "a part is added before its text"
            text += event["delta"]
        elif kind.endswith("part.done"):
            assert event["part"]["text"] == text
        elif kind == "output_item.done":
            done, opened = event["item"], False
            assert {key: done[key] for key in ("id", "type")} == {key: items[-1][key] for key in ("id", "type")}
            assert done.get("call_id") == items[-1].get("call_id")
            items[-1] = done
        elif kind.endswith(".done"):
            assert text in (event.get("text"), event.get("arguments"), event.get("input"))
    assert not opened
    assert last["output"] == items
    return items


def test_a_tool_loop_of_each_generation(tmp_path: Path) -> None:
    """The call streamed, its result sent back with all items, the answer whole."""
    lines = "".join(replay_file(tmp_path, generation).read_text(encoding="utf-8") for generation in CALLS)
    path = tmp_path / "all.jsonl"
    path.write_text(lines, encoding="utf-8")
    with replayed(path) as (url, _):
        client = client_of(url)
        for generation in CALLS:
            items = items_of(streamed(url, tools=[TOOL]))
            *thoughts, call = items
            assert (call["type"], call["name"]) == ("function_call", "get_weather")
            assert json.loads(call["arguments"]) == {"city": "Paris"}
            assert call["id"] != call["call_id"]
            assert [item["content"][0]["text"] for item in thoughts] == ([THOUGHT] if generation in THINKS else [])

            result = {"type": "function_call_output", "call_id": call["call_id"], "output": "sunny, 21 degrees"}
            history: Any = [{"role": "user", "content": QUESTION}, *items, result]
            answer = client.responses.create(model="gpt-5", input=history, tools=[TOOL])
            assert answer.output_text == ANSWER
            assert answer.model == "gpt-5"


def test_openai_python_puts_several_calls_together(tmp_path: Path) -> None:
    with (
        replayed(replay_file(tmp_path, "glm47", PARALLEL | {"chunk_size": 5})) as (url, _),
        client_of(url).responses.stream(model="gpt-5", input=QUESTION, tools=[TOOL]) as stream,
    ):
        for event in stream:
            if event.type == "response.function_call_arguments.done":
                assert event.arguments
        response = stream.get_final_response()
    thought, *calls = response.output
    assert thought.type == "reasoning"
    assert [json.loads(call.arguments)["city"] for call in calls if call.type == "function_call"] == ["Paris", "Oslo"]
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


def test_only_one_call_if_the_client_wants_no_more(tmp_path: Path) -> None:
    with replayed(recorded(tmp_path, PARALLEL)) as (url, _):
        _, call = items_of(streamed(url, tools=[TOOL], parallel_tool_calls=False))
    assert json.loads(call["arguments"]) == {"city": "Paris"}


def test_all_kinds_of_items(tmp_path: Path) -> None:
    """Thought, text, a function of a namespace and a custom tool with a grammar: one after the other."""
    spawn = CALL_OF.format(name="agents__spawn", key="task", value="look")
    patch = CALL_OF.format(name="patch", key="input", value=PATCH_TEXT)
    raw = f"Hm.</think>I look.{spawn}{patch}<|observation|>"
    function = {"type": "function", "name": "spawn", "parameters": {"properties": {"task": {"type": "string"}}}}
    tools = [
        {"type": "namespace", "name": "agents", "description": "", "tools": [function]},
        {"type": "custom", "name": "patch", "format": {"type": "grammar", "syntax": "lark", "definition": "x"}},
        {"type": "web_search"},
    ]
    with replayed(recorded(tmp_path, {"raw": raw, "chunk_size": 3}, {"raw": raw})) as (url, _):
        events = streamed(url, tools=tools)
        items = items_of(events)
        whole = client_of(url).responses.create(model="gpt-5", input=QUESTION, tools=tools)  # type: ignore[arg-type]
    thought, message, call, custom = items
    assert thought["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert message["content"][0]["text"] == "I look."
    assert (call["name"], call["namespace"], json.loads(call["arguments"])) == ("spawn", "agents", {"task": "look"})
    assert (custom["type"], custom["name"], custom["input"]) == ("custom_tool_call", "patch", PATCH_TEXT)
    assert "namespace" not in custom
    changing = {"id", "call_id"}
    assert [{key: value for key, value in item.to_dict().items() if key not in changing} for item in whole.output] == [
        {key: value for key, value in item.items() if key not in changing} for item in items
    ]
    assert events[-1]["response"]["tools"][2] == {"type": "web_search"}


def test_thoughts_as_codex_asks_for_them(tmp_path: Path) -> None:
    """A summary, which it shows, and sealed; either alone brings the thought back into the prompt."""
    lines = [{"raw": f"Hm.</think>{text}<|user|>", "chunk_size": 1} for text in ("One.", "Two.", "Two.", "Two.")]
    with replayed(recorded(tmp_path, *lines)) as (url, _):
        events = streamed(url, reasoning={"summary": "auto"}, include=["reasoning.encrypted_content"])
        thought, _ = items_of(events)
        assert thought["summary"] == [{"type": "summary_text", "text": "Hm."}]
        assert "content" not in thought
        kinds = {event["type"] for event in events}
        assert "response.reasoning_summary_text.delta" in kinds
        assert "response.reasoning_text.delta" not in kinds

        client = client_of(url)

        def read_tokens(**reasoning: Any) -> int:
            item = {"type": "reasoning", "id": thought["id"], "summary": []} | reasoning
            call = {"type": "function_call", "call_id": "a", "name": "get_weather", "arguments": "{}"}
            result = {"type": "function_call_output", "call_id": "a", "output": "sunny"}
            history: ResponseInputParam = [{"role": "user", "content": QUESTION}, item, call, result]  # type: ignore[list-item]
            usage = client.responses.create(model="gpt-5", input=history).usage
            assert usage is not None
            return usage.input_tokens

        with_thought = read_tokens(encrypted_content=thought["encrypted_content"])
        assert read_tokens(summary=thought["summary"]) == with_thought
        assert read_tokens() == with_thought - len("<think>Hm.")


def test_an_answer_that_was_cut_off(tmp_path: Path) -> None:
    """Whole and streamed: the text that there is, its status and the reason."""
    with replayed(recorded(tmp_path, {"raw": "Hm.</think>One two three", "chunk_size": 4})) as (url, _):
        events = streamed(url, max_output_tokens=18)
        assert events[-1]["type"] == "response.incomplete"
        assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
        thought, message = items_of(events)
        assert (thought["status"], message["status"]) == ("completed", "incomplete")
        assert message["content"][0]["text"] == "One two"
        whole = client_of(url).responses.create(model="gpt-5", input=QUESTION, max_output_tokens=18)
    assert (whole.status, whole.output_text) == ("incomplete", "One two")
    assert whole.completed_at is None


@pytest.mark.parametrize("kind", ["function", "custom"])
def test_a_call_that_was_cut_off(kind: str, tmp_path: Path) -> None:
    """Nobody can take it for a call: arguments that are no JSON, or no input at all. Its text is in a message."""
    raw = "Hm.</think><tool_call>patch<arg_key>input</arg_key><arg_value>*** Begin"
    line = {"raw": raw, "chunk_size": 4, "finish_reason": "length"}
    tool = {"type": kind, "name": "patch", "parameters": {"properties": {"input": {"type": "string"}}}}
    with replayed(recorded(tmp_path, line, line)) as (url, _):
        *_, call, message = items_of(streamed(url, tools=[tool]))
        whole = httpx.post(f"{url}/v1/responses", json={"input": QUESTION, "tools": [tool]}, timeout=60).json()
    assert call["status"] == "incomplete"
    if kind == "custom":
        assert call["input"] == ""
    else:
        with pytest.raises(ValueError, match=r"Unterminated string|Expecting"):
            json.loads(call["arguments"])
    assert "*** Begin" in message["content"][0]["text"]
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert (whole["status"], whole["output"][-1]["status"]) == ("incomplete", "incomplete")


def test_a_client_that_waits_gets_events(tmp_path: Path) -> None:
    """Codex counts the time between events; comments do not help."""
    line = {"raw": "Hm.</think>" + "word " * 20, "chunk_size": 5, "delay_ms": 20}
    with replayed(recorded(tmp_path, line), keep_alive_s=0.05) as (url, _):
        events = streamed(url)
    items_of(events)
    assert sum(event["type"] == "response.in_progress" for event in events) > 2


def test_a_failure_in_the_stream(tmp_path: Path) -> None:
    line = {"raw": "Hm.</think>" + "word " * 500, "chunk_size": 5, "delay_ms": 20}
    with (
        replayed(recorded(tmp_path, line)) as (url, service),
        client_of(url).responses.create(model="gpt-5", input=QUESTION, stream=True) as stream,
    ):
        for event in stream:
            if event.type == "response.output_text.delta":
                service.stop()
        last = event
    assert last.type == "response.failed"
    assert last.response.status == "failed"
    assert last.response.error is not None
    assert last.response.error.to_dict()["code"] == "server_shutting_down"


def test_a_client_that_leaves_frees_the_model(tmp_path: Path) -> None:
    line = {"raw": "Hm.</think>" + "word " * 5000, "chunk_size": 5, "delay_ms": 20}
    with replayed(recorded(tmp_path, line, {"raw": "Hm.</think>Yes.<|user|>"})) as (url, _):
        with client_of(url).responses.create(model="gpt-5", input=QUESTION, stream=True) as stream:
            next(iter(stream))
        assert client_of(url).responses.create(model="gpt-5", input=QUESTION).output_text == "Yes."


def test_a_prompt_that_is_too_long(tmp_path: Path) -> None:
    """A status with the code that Codex knows, also for a stream."""
    with replayed(recorded(tmp_path, {"raw": "x"}), context_length=64) as (url, _):
        body = {"input": "long " * 100, "stream": True}
        refused = httpx.post(f"{url}/v1/responses", json=body, timeout=60)
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "context_length_exceeded"
    assert refused.json()["error"]["param"] == "input"
