"""The stream of the Messages API, event by event, from recorded answers; anthropic's types say what an event holds."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from anthropic import Anthropic, APIStatusError, RateLimitError
from anthropic._streaming import SSEDecoder
from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from chatglm_server.service import Service
from chatglm_server.settings import Settings
from tests.api.test_new_dialect import SLOW
from tests.conftest import WEATHER
from tests.recordings import ANSWER, CALLS, PARALLEL, THINKS, THOUGHT, replay_file
from tests.serving_here import serving

FUNCTION: Any = WEATHER["function"]
TOOL: Any = {
    "name": FUNCTION["name"],
    "description": FUNCTION["description"],
    "input_schema": FUNCTION["parameters"],
}
QUESTION: Any = {"role": "user", "content": "What is the weather in Paris?"}
ASK: dict[str, Any] = {"model": "claude-opus-4-8", "max_tokens": 4096, "messages": [QUESTION]}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}


@contextmanager
def replayed(path: Path, **settings: Any) -> Iterator[tuple[str, Service]]:
    with serving(Settings(_env_file=None, model=f"replay:{path}", **settings)) as server:
        yield server


def recorded(folder: Path, *lines: dict[str, Any]) -> Path:
    """Answers of GLM-4.7, whose prompts end inside a thought."""
    path = folder / "recorded.jsonl"
    texts = [json.dumps({"format": "glm47", "prompt_ends_in_think": True, **line}) + "\n" for line in lines]
    path.write_text("".join(texts), encoding="utf-8")
    return path


def client_of(url: str) -> Anthropic:
    return Anthropic(base_url=url, api_key="none", max_retries=0)


def streamed(url: str, **body: Any) -> list[dict[str, Any]]:
    """The events of a stream but for pings; each is what anthropic's types say, and named so."""
    with httpx.stream("POST", f"{url}/v1/messages?beta=true", json=ASK | {"stream": True} | body) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["request-id"].startswith("req_")
        events = list(SSEDecoder().iter_bytes(response.iter_bytes()))
    assert all(event.event == event.json()["type"] for event in events)
    assert [event.event for event in events[:2]] == ["message_start", "ping"]
    sent: list[dict[str, Any]] = [event.json() for event in events if event.event != "ping"]
    for event in sent:
        EVENT.validate_python(event)
    return sent


def blocks_of(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of a stream whose order is that of the API: one open at a time, numbered without gaps."""
    start, *inner, delta, stop = events
    assert (start["type"], delta["type"], stop["type"]) == ("message_start", "message_delta", "message_stop")
    assert (start["message"]["content"], start["message"]["stop_reason"]) == ([], None)
    blocks: list[dict[str, Any]] = []
    open_ = False
    for event in inner:
        if event["type"] == "content_block_start":
            assert not open_
            assert event["index"] == len(blocks)
            blocks.append(dict(event["content_block"]))
            text, signed, open_ = "", 0, True
            continue
        assert open_
        assert event["index"] == len(blocks) - 1
        kind = blocks[-1]["type"]
        if event["type"] == "content_block_stop":
            assert signed == (kind == "thinking")
            blocks[-1]["streamed"], open_ = text, False
        elif event["delta"]["type"] == "signature_delta":
            assert event["delta"]["signature"]
            signed += 1
        else:
            assert event["delta"]["type"] == DELTAS[kind]
            assert not signed
            (more,) = (value for name, value in event["delta"].items() if name != "type")
            text += more
    assert not open_
    return blocks


@pytest.mark.parametrize("generation", CALLS)
def test_a_call_and_its_result(generation: str, tmp_path: Path) -> None:
    """Every generation: the call streamed by the client's accumulator, its result, and the answer whole."""
    with replayed(replay_file(tmp_path, generation)) as (url, _):
        client = client_of(url)
        with client.messages.stream(**ASK, tools=[TOOL]) as stream:
            asked = stream.get_final_message()
        *thoughts, call = asked.content
        assert [block.thinking for block in thoughts if block.type == "thinking"] == (
            [THOUGHT] if generation in THINKS else []
        )
        assert call.type == "tool_use"
        assert (call.name, call.input, asked.stop_reason) == ("get_weather", {"city": "Paris"}, "tool_use")
        assert call.id.startswith("toolu_")
        assert len(call.id) == 30

        result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "sunny, 21"}]}
        history = [QUESTION, {"role": "assistant", "content": asked.content}, {"role": "user", "content": [result]}]
        told = client.messages.create(**ASK | {"messages": history}, tools=[TOOL])
        assert [block.text for block in told.content if block.type == "text"] == [ANSWER]
        assert told.stop_reason == "end_turn"


def test_events_of_a_thought_a_text_and_two_calls(tmp_path: Path) -> None:
    raw = str(PARALLEL["raw"]).replace("Both.</think>", "Both.</think>\n I look. ")
    with replayed(recorded(tmp_path, {"raw": raw, "chunk_size": 3})) as (url, _):
        events = streamed(url, tools=[TOOL])
        thinking, text, *calls = blocks_of(events)
        assert (thinking["type"], thinking["streamed"]) == ("thinking", "Both.")
        assert (text["type"], text["streamed"].strip()) == ("text", "I look.")
        assert [(call["name"], call["input"]) for call in calls] == [("get_weather", {})] * 2
        assert [json.loads(call["streamed"]) for call in calls] == [{"city": "Paris"}, {"city": "Oslo"}]

        message, end = events[0]["message"], events[-2]
        assert message["id"].startswith("msg_")
        assert message["model"] == ASK["model"]
        assert end["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
        assert end["usage"].keys() == message["usage"].keys()
        assert message["usage"]["input_tokens"] == end["usage"]["input_tokens"] > 0
        assert (message["usage"]["output_tokens"], end["usage"]["output_tokens"]) == (0, len(raw))

        whole = httpx.post(f"{url}/v1/messages", json=ASK | {"tools": [TOOL]}).json()
        Message.model_validate(whole)
        assert [block.get("text", block.get("thinking", block.get("input"))) for block in whole["content"]] == [
            *(thinking["streamed"], text["streamed"], {"city": "Paris"}, {"city": "Oslo"})
        ]
        assert (whole["stop_reason"], whole["usage"]) == ("tool_use", end["usage"])


def test_only_one_call_if_the_client_wants_no_more(tmp_path: Path) -> None:
    with replayed(recorded(tmp_path, PARALLEL)) as (url, _):
        choice = {"type": "auto", "disable_parallel_tool_use": True}
        (_, call) = blocks_of(streamed(url, tools=[TOOL], tool_choice=choice))
        assert json.loads(call["streamed"]) == {"city": "Paris"}


def test_a_call_without_arguments(tmp_path: Path) -> None:
    tool: Any = {"name": "now", "input_schema": {"type": "object", "properties": {}}}
    line = {"raw": "Now.</think><tool_call>now</tool_call><|observation|>"}
    with replayed(recorded(tmp_path, line)) as (url, _), client_of(url).messages.stream(**ASK, tools=[tool]) as stream:
        assert [block.input for block in stream.get_final_message().content if block.type == "tool_use"] == [{}]


def test_a_thought_without_its_text_comes_back_in_its_signature(tmp_path: Path) -> None:
    """The prompt of the next turn is the same as if the text had been shown: its tokens stay in the KV cache."""
    lengths = []
    for display in ("summarized", "omitted"):
        with replayed(recorded(tmp_path, CALLS["glm47"], {"raw": f"</think>{ANSWER}<|user|>"})) as (url, _):
            client = client_of(url)
            thinking: Any = {"type": "adaptive", "display": display}
            with client.messages.stream(**ASK, tools=[TOOL], thinking=thinking) as stream:
                asked = stream.get_final_message()
            thought, call = asked.content
            assert thought.type == "thinking"
            assert call.type == "tool_use"
            assert thought.thinking == (THOUGHT if display == "summarized" else "")
            result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}
            history = [
                QUESTION,
                {"role": "assistant", "content": [thought.to_dict(), call.to_dict() | {"id": "toolu_1"}]},
                {"role": "user", "content": [result]},
            ]
            told = client.messages.create(**ASK | {"messages": history}, tools=[TOOL], thinking=thinking)
            lengths.append(told.usage.input_tokens)
    assert lengths[0] == lengths[1]


def test_earlier_thoughts_stay_as_claude_code_asks(tmp_path: Path) -> None:
    """Where the format shows them at all: the prompt then grows at its end only, with each question."""
    history = [
        QUESTION,
        {"role": "assistant", "content": [{"type": "thinking", "thinking": THOUGHT}, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "And now?"},
    ]
    kept = {"context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}}
    for generation, more in (("glm47", len(f"<think>{THOUGHT}")), ("glm45", 0), ("glm4", 0)):
        with replayed(replay_file(tmp_path, generation)) as (url, _):
            counted = [
                httpx.post(f"{url}/v1/messages/count_tokens", json={"messages": history} | fields).json()
                for fields in ({}, kept)
            ]
        assert counted[1]["input_tokens"] - counted[0]["input_tokens"] == more


def test_an_empty_answer_has_no_block(tmp_path: Path) -> None:
    with replayed(recorded(tmp_path, {"raw": "</think> \n <|user|>", "chunk_size": 1})) as (url, _):
        assert blocks_of(streamed(url)) == []
        assert client_of(url).messages.create(**ASK).content == []


@pytest.mark.parametrize(
    ("raw", "body", "settings", "reason", "sequence"),
    [
        ("One. Two. Three.<|user|>", {"stop_sequences": ["Four", "Two"]}, {}, "stop_sequence", "Two"),
        ("One. Two. Three.<|user|>", {"stop_sequences": ["Four"]}, {}, "end_turn", None),
        ("One. Two. Three.<|user|>", {"max_tokens": 16}, {}, "max_tokens", None),
        ("One. " * 100, {"max_tokens": 32000}, {"context_length": 100}, "model_context_window_exceeded", None),
        ("One. " * 100, {"max_tokens": -1}, {"context_length": 100}, "model_context_window_exceeded", None),
        ("<tool_call>get_weather<arg_key>city</arg_key><arg_value>Pa", {"max_tokens": 60}, {}, "max_tokens", None),
    ],
    ids=["stop string", "end of turn", "max_tokens", "context", "no limit", "inside a call"],
)
def test_why_an_answer_ended(
    tmp_path: Path, raw: str, body: dict[str, Any], settings: dict[str, Any], reason: str, sequence: str | None
) -> None:
    with replayed(recorded(tmp_path, {"raw": f"</think>{raw}"}), **settings) as (url, _):
        asked = body | ({} if settings else {"tools": [TOOL]})
        assert streamed(url, **asked)[-2]["delta"] == {"stop_reason": reason, "stop_sequence": sequence}
        whole = httpx.post(f"{url}/v1/messages", json=ASK | asked).json()
        assert (whole["stop_reason"], whole["stop_sequence"]) == (reason, sequence)


def test_pings_while_there_is_nothing_to_say(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    path.write_text(SLOW.replace('"delay_ms": 20', '"delay_ms": 1000'))
    with (
        replayed(path, keep_alive_s=0.05) as (url, _),
        httpx.stream("POST", f"{url}/v1/messages", json=ASK | {"stream": True}) as response,
    ):
        names = (event.event for event in SSEDecoder().iter_bytes(response.iter_bytes()))
        first = [next(names) for _ in range(8)]
    assert first[0] == "message_start"
    assert first.count("ping") >= 4


def test_a_full_queue_an_error_in_the_stream_and_a_client_that_leaves(tmp_path: Path) -> None:
    path = tmp_path / "slow.jsonl"
    path.write_text(SLOW)
    with replayed(path, max_queue=0) as (url, service):
        client = client_of(url)
        with client.messages.create(**ASK, stream=True):
            with pytest.raises(RateLimitError) as full:
                client.messages.create(**ASK)
            assert int(full.value.response.headers["retry-after"]) > 0
            counted = client.messages.count_tokens(model="claude", messages=ASK["messages"])
            assert counted.input_tokens > 0, "which waits for nobody"
            assert full.value.body == {
                "type": "error",
                "error": {"type": "rate_limit_error", "message": full.value.body["error"]["message"]},  # type: ignore[index]
                "request_id": full.value.request_id,
            }
        deadline = time.monotonic() + 20
        while httpx.get(f"{url}/health").json()["queue"]["running"]:  # the client has left: the model is free
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with client.messages.create(**ASK, stream=True) as stream:
            assert next(stream).type == "message_start"
            service.stop()
            with pytest.raises(APIStatusError, match="overloaded_error"):
                list(stream)
