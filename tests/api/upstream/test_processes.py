"""Two servers in a row: one replays, the other stands in front of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import OpenAI

from tests.conftest import WEATHER
from tests.engine.test_replay import SLOW, recording_file
from tests.serving import RunningServer, user

CALL = {"raw": 'I look.\nget_weather\n{"city": "巴黎"}<|observation|>', "chunk_size": 3, "delay_ms": 1}
ANSWER = {"raw": "It is sunny.", "chunk_size": 2}
MODEL = "glm-4-9b-chat"


def pair(path: Path, *recordings: dict[str, Any]) -> Iterator[tuple[RunningServer, RunningServer]]:
    model = recording_file(path / "recorded.jsonl", *recordings)
    with (
        RunningServer("--model", model, "--alias", MODEL) as backend,
        RunningServer(env={"OPENAI_BASE_URL": f"{backend.url}/v1"}) as front,
    ):
        yield backend, front


@pytest.fixture(params=["chatglm2", "glm4"])
def agents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    """The backend leaves calls in the text, as chatglm2 knows none, or gives proper ones."""
    yield from pair(tmp_path, CALL | {"format": request.param}, CALL | {"format": request.param}, ANSWER)


def test_tool_conversation(agents: tuple[RunningServer, RunningServer]) -> None:
    _, front = agents
    assert "OPENAI_BASE_URL" in front.output
    client = OpenAI(base_url=f"{front.url}/v1", api_key="none", max_retries=0)
    assert [model.id for model in client.models.list()] == ["recorded"]
    messages: list[Any] = user("How is the weather in Paris?")
    whole = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    with client.chat.completions.stream(model=MODEL, messages=messages, tools=[WEATHER]) as stream:
        completion = stream.get_final_completion()
    for choice in (whole.choices[0], completion.choices[0]):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.content == "I look."
        (call,) = choice.message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "巴黎"})
        messages += [choice.message.model_dump(exclude_none=True, include={"role", "content", "tool_calls"})]
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "sunny"}]
    last = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER])
    assert last.choices[0].message.content == "It is sunny."
    assert last.usage is not None
    assert last.usage.model_extra == {"unit": "characters"}
    assert "calls=get_weather" in front.output


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[tuple[RunningServer, RunningServer]]:
    yield from pair(tmp_path, SLOW)


def test_client_that_leaves_frees_the_backend(slow: tuple[RunningServer, RunningServer]) -> None:
    """What it has seen until then came while the backend was still at it."""
    backend, front = slow
    body = {"model": MODEL, "messages": user("Hello!"), "stream": True}
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        assert any('"content":"n"' in line for line in lines)
        backend.wait_for_queue(running=1)
    backend.wait_for_queue(running=0)
    front.wait_for_queue(running=0)


def test_backend_that_dies(slow: tuple[RunningServer, RunningServer]) -> None:
    backend, front = slow
    body = {"model": MODEL, "messages": user("Hello!"), "stream": True}
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        assert any('"content":"n"' in line for line in lines)
        backend.process.kill()
        last = [line for line in lines if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "upstream_failure"
    refused = front.post(json=body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_unreachable")
    assert f"{backend.url}/v1" in refused.json()["error"]["message"]
