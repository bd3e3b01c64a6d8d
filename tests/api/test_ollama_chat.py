"""Ollama's own client in front of the demo model and of recorded text: chats, prompts, tools, thoughts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ollama
import pytest
from ollama import AsyncClient, ChatResponse, Client, GenerateResponse, Message

from chatglm_server.api.ollama.bodies import ChatBody
from chatglm_server.engine.base import ModelInfo
from chatglm_server.errors import UnsupportedParameter
from tests.conftest import WEATHER
from tests.recordings import ANSWER, CALLS, PARALLEL, THINKS, THOUGHT, replay_file
from tests.serving import RunningServer, user

GREEDY = {"temperature": 0}


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Client:
    return Client(host=server.url)


def get_weather(city: str) -> str:
    """Get the current weather in a city.

    Args:
      city: The name of the city
    """
    return f"sunny in {city}, 21 degrees"


def said(parts: list[ChatResponse]) -> str:
    """The content of a stream."""
    return "".join(part.message.content or "" for part in parts)


def check_end(end: ChatResponse | GenerateResponse, reason: str = "stop") -> None:
    assert end.done
    assert end.done_reason == reason
    total, *parts = end.total_duration, end.load_duration, end.prompt_eval_duration, end.eval_duration
    figures = [total, *parts, end.prompt_eval_count, end.eval_count]
    assert all(isinstance(figure, int) and figure >= 0 for figure in figures)
    assert total is not None
    assert sum(part or 0 for part in parts) <= total + 3  # each is rounded
    assert end.created_at is not None
    created = datetime.fromisoformat(end.created_at[:26] + "+00:00")  # nanoseconds are more than datetime reads
    assert abs((datetime.now(timezone.utc) - created).total_seconds()) < 3600
    assert len(end.created_at) == len("2026-11-27T21:30:32.367330685Z")


def test_a_chat(server: RunningServer, client: Client) -> None:
    """The same text as in OpenAI's words, whole and streamed, with its counts."""
    openai = server.post(json={"messages": user("Hello!"), "temperature": 0}).json()
    whole = client.chat("demo", user("Hello!"), options=GREEDY)
    *parts, end = client.chat("Demo:latest", user("Hello!"), options=GREEDY, stream=True)
    assert whole.message.content == said(parts) == openai["choices"][0]["message"]["content"]
    assert len(parts) > 1
    assert not any(part.done for part in parts)
    assert {part.model for part in [*parts, end]} == {"Demo:latest"}
    assert end.message.content == ""
    for last in (whole, end):
        check_end(last)
        counts = last.prompt_eval_count, last.eval_count
        assert counts == (openai["usage"]["prompt_tokens"], openai["usage"]["completion_tokens"])
    assert whole.message.tool_calls is None
    assert whole.message.thinking is None


def test_the_async_client(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", server.url)

    async def ask() -> list[ChatResponse]:
        return [part async for part in await AsyncClient().chat("demo", user("Hello!"), stream=True)]

    check_end(asyncio.run(ask())[-1])


def test_a_prompt(server: RunningServer, client: Client) -> None:
    chat = client.chat("demo", user("Hello!"), options=GREEDY)
    whole = client.generate("demo", "Hello!", options=GREEDY)
    *parts, end = client.generate("demo", "Hello!", options=GREEDY, stream=True)
    assert whole.response == "".join(part.response or "" for part in parts) == chat.message.content
    for last in (whole, end):
        check_end(last)
        assert last.context == []
    instructed = client.generate("demo", "Hello!", system="Be brief.", options={"num_predict": 1})
    assert (instructed.prompt_eval_count or 0) > (whole.prompt_eval_count or 0)
    raw = client.generate("demo", "Hello!", raw=True, options=GREEDY | {"num_predict": 4})
    bare = {"prompt": "Hello!", "max_tokens": 4, "temperature": 0}
    assert raw.response == server.post("/v1/completions", json=bare).json()["choices"][0]["text"]


def test_options(client: Client) -> None:
    def answer(**options: Any) -> ChatResponse:
        return client.chat("demo", user("Hello!"), options=options)

    assert said([answer(seed=7)]) == said([answer(seed=7)])
    cut = answer(temperature=0, num_predict=2)
    check_end(cut, "length")
    assert cut.eval_count == 2
    full = said([answer(temperature=0, num_predict=-1)])
    assert said([answer(temperature=0, stop=["How"])]) == full.partition("How")[0]
    assert said([answer(temperature=0, stop="How", repeat_penalty=1.0, top_k=40, top_p=0.9, min_p=0.0)])
    assert said([answer(temperature=1.5, top_p=0)]) == full


def test_options_that_change_nothing_are_named_once(server: RunningServer, client: Client) -> None:
    options = {"num_ctx": 1 << 20, "num_thread": 3, "mirostat": 1, "num_predict": 1}
    for _ in range(2):
        client.chat("demo", user("Hello!"), options=options, keep_alive="5m")
    server.wait_for_line("mirostat", timeout=10)
    assert server.output.count("ignoring options.num_ctx: this server's context is 4096") == 1
    for name in ("num_thread", "mirostat"):
        assert server.output.count(f"ignoring the unknown request field 'options.{name}'") == 1
    assert "keep_alive" not in server.output


def test_formats(client: Client) -> None:
    properties = {"city": {"type": "string", "maxLength": 8}, "warm": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["city", "warm"], "additionalProperties": False}
    for _ in range(3):
        answer = client.chat("demo", user("Hello!"), format=schema)
        assert {name: type(value) for name, value in json.loads(said([answer])).items()} == {"city": str, "warm": bool}
    told = client.generate("demo", "Hello!", format=schema, stream=True)
    assert set(json.loads("".join(part.response or "" for part in told))) == {"city", "warm"}
    free = client.chat("demo", user("Hello!"), format="json", options={"num_predict": 40})
    assert said([free]).lstrip().startswith("{")
    assert (
        client.chat("demo", user("Hello!"), format="", options=GREEDY).message.content == "Hello! How can I help you?"
    )


def test_log_probabilities(client: Client) -> None:
    whole = client.chat("demo", user("Hello!"), options=GREEDY, logprobs=True, top_logprobs=2)
    parts = list(client.chat("demo", user("Hello!"), options=GREEDY, logprobs=True, top_logprobs=2, stream=True))
    assert whole.logprobs is not None
    assert whole.logprobs == [one for part in parts for one in part.logprobs or ()]
    assert "".join(one.token for one in whole.logprobs).strip() == whole.message.content
    assert [len(one.top_logprobs or ()) for one in whole.logprobs] == [2] * len(whole.logprobs)
    assert client.chat("demo", user("Hello!"), options={"num_predict": 1}).logprobs is None


# ---- recorded text ----


@pytest.fixture(params=["glm4", "glm47"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, RunningServer]]:
    with RunningServer("--model", f"replay:{replay_file(tmp_path, request.param)}") as running:
        yield request.param, running


def test_a_tool_loop(recorded: tuple[str, RunningServer]) -> None:
    """As in ollama-python's examples: a function is the tool, and its result goes back by the tool's name."""
    generation, server = recorded
    client = Client(host=server.url)
    messages: list[Message | dict[str, Any]] = [Message(role="user", content="What is the weather in Paris?")]
    answer = client.chat(generation, messages, tools=[get_weather])
    check_end(answer)
    (call,) = answer.message.tool_calls or ()
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    assert answer.message.thinking == (THOUGHT if generation in THINKS else None)
    messages.append(answer.message)
    result = get_weather(**call.function.arguments)
    messages.append({"role": "tool", "content": result, "tool_name": call.function.name})
    assert said(list(client.chat(generation, messages, tools=[get_weather], stream=True))) == ANSWER


def test_several_calls_in_a_stream(tmp_path: Path) -> None:
    """Each call whole in a line of its own, with an id and its number."""
    thinks = {"raw": f"{THOUGHT}</think>{ANSWER}<|user|>", "prompt_ends_in_think": True, "chunk_size": 3}
    path = replay_file(tmp_path, "glm47", PARALLEL | {"chunk_size": 3}, thinks, thinks, CALLS["glm47"])
    with RunningServer("--model", f"replay:{path}") as server:
        body: dict[str, object] = {"model": "glm47", "messages": user("Paris and Oslo?"), "tools": [WEATHER]}
        lines = [json.loads(line) for line in server.stream(body, "/api/chat").splitlines()]
        calls = [line["message"].get("tool_calls") for line in lines if line["message"].get("tool_calls")]
        assert [len(group) for group in calls] == [1, 1]
        ids = {call["id"] for group in calls for call in group}
        assert len(ids) == 2
        assert [[call["function"] for call in group] for group in calls] == [
            [{"index": 0, "name": "get_weather", "arguments": {"city": "Paris"}}],
            [{"index": 1, "name": "get_weather", "arguments": {"city": "Oslo"}}],
        ]
        assert "".join(line["message"].get("thinking", "") for line in lines) == "Both."
        assert [line["done_reason"] for line in lines if line["done"]] == ["stop"]

        client = Client(host=server.url)
        parts = list(client.chat("glm47", user("Hello!"), think="high", stream=True))
        assert said(parts) == ANSWER
        assert "".join(part.message.thinking or "" for part in parts) == THOUGHT
        hidden = client.generate("glm47", "Hello!", think=False)
        assert (hidden.response, hidden.thinking) == (ANSWER, None)


def test_what_a_model_cannot_do_is_refused_in_words_that_clients_read(client: Client) -> None:
    assert client.chat("demo", user("Hello!"), think=False, options={"num_predict": 1}).done
    with pytest.raises(ollama.ResponseError, match="does not support thinking") as raised:
        client.chat("demo", user("Hello!"), think=True)
    assert raised.value.status_code == 400
    unable = ModelInfo("old", (), 2048, "chatglm2", supports_tools=False, created=0)
    body = ChatBody.model_validate({"messages": user("Hello!"), "tools": [WEATHER]})
    with pytest.raises(UnsupportedParameter, match="does not support tools"):
        body.to_request(unable)
