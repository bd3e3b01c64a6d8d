"""Real clients in front of recorded text of every generation: the same calls, whatever their notation."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionMessageParam,
    ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam,
)
from pydantic import SecretStr

from chatglm_server.settings import Settings
from tests.conftest import WEATHER
from tests.recordings import ANSWER, CALLS, PARALLEL, THINKS, THOUGHT, replay_file
from tests.serving import RunningServer
from tests.serving_here import serving

QUESTION: ChatCompletionUserMessageParam = {"role": "user", "content": "What is the weather in Paris?"}
CLIENT = Path(__file__).parent.parent / "clients" / "ai_sdk"


@pytest.fixture(scope="module", params=CALLS)
def generation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@contextmanager
def replaying(path: Path) -> Iterator[str]:
    """The base URL of a server that answers from this recording, beginning at its first line."""
    with serving(Settings(_env_file=None, model=f"replay:{path}")) as (address, _):
        yield f"{address}/v1"


@pytest.fixture
def url(generation: str, tmp_path: Path) -> Iterator[str]:
    with replaying(replay_file(tmp_path, generation)) as url:
        yield url


@pytest.fixture
def openai(url: str) -> OpenAI:
    return OpenAI(base_url=url, api_key="none", max_retries=0)


def model_of(client: OpenAI) -> str:
    return client.models.list().data[0].id


def test_openai_python(openai: OpenAI, generation: str) -> None:
    model = model_of(openai)
    answer = openai.chat.completions.create(model=model, messages=[QUESTION], tools=[WEATHER])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content is None
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert getattr(message, "reasoning_content", None) == (THOUGHT if generation in THINKS else None)

    result: ChatCompletionToolMessageParam = {"role": "tool", "tool_call_id": call.id, "content": "sunny, 21"}
    asked = cast(ChatCompletionAssistantMessageParam, message.model_dump(exclude_none=True))
    history: list[ChatCompletionMessageParam] = [QUESTION, asked, result]
    final = openai.chat.completions.create(model=model, messages=history, tools=[WEATHER])
    assert final.choices[0].message.content == ANSWER
    assert final.choices[0].finish_reason == "stop"


def test_openai_stream_helper(openai: OpenAI) -> None:
    """The accumulator of openai-python, which raises where chunks do not add up."""
    with openai.chat.completions.stream(model=model_of(openai), messages=[QUESTION], tools=[WEATHER]) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert "tool_calls.function.arguments.delta" in kinds
    assert "tool_calls.function.arguments.done" in kinds
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == [
        ("get_weather", {"city": "Paris"})
    ]


def test_openai_async_stream(url: str) -> None:
    async def ask() -> tuple[set[str], str, str | None]:
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            model = (await client.models.list()).data[0].id
            stream = await client.chat.completions.create(
                model=model, messages=[QUESTION], tools=[WEATHER], stream=True
            )
            ids, arguments, reason = set(), "", None
            async for chunk in stream:
                reason = chunk.choices[0].finish_reason or reason
                for call in chunk.choices[0].delta.tool_calls or ():
                    ids |= {call.id} if call.id else set()
                    arguments += call.function.arguments or "" if call.function else ""
            return ids, arguments, reason

    ids, arguments, reason = asyncio.run(ask())
    assert len(ids) == 1, "one id a call"
    assert json.loads(arguments) == {"city": "Paris"}
    assert reason == "tool_calls"


def test_langchain_agent_loop(url: str, openai: OpenAI) -> None:
    @tool
    def get_weather(city: str) -> str:
        """Get the current weather in a given city."""
        return f"sunny in {city}, 21 degrees"

    chat = ChatOpenAI(base_url=url, api_key=SecretStr("none"), model=model_of(openai), max_retries=0)
    agent = chat.bind_tools([get_weather])
    messages: list[object] = [HumanMessage(str(QUESTION["content"]))]
    for _ in range(3):
        answer = agent.invoke(messages)  # type: ignore[arg-type]
        messages.append(answer)
        if not answer.tool_calls:
            break
        messages += [
            ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"]) for call in answer.tool_calls
        ]
    assert [type(message).__name__ for message in messages] == ["HumanMessage", "AIMessage", "ToolMessage", "AIMessage"]
    assert messages[2].content == "sunny in Paris, 21 degrees"  # type: ignore[attr-defined]
    assert answer.content == ANSWER


@pytest.fixture(scope="session")
def ai_sdk() -> Path:
    """The Vercel AI SDK, installed beside its test client."""
    subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=CLIENT, check=True, capture_output=True, timeout=600)
    return CLIENT


def test_vercel_ai_sdk(ai_sdk: Path, url: str, openai: OpenAI, generation: str) -> None:
    """Its stream schema is strict: a chunk with one field too many or null in the wrong place is an error."""
    words = ["node", str(ai_sdk / "tool_loop.mjs"), url, model_of(openai), str(QUESTION["content"])]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    seen = json.loads(done.stdout)
    assert seen["errors"] == []
    first, last = seen["steps"]
    assert [(call["name"], call["input"]) for call in first["calls"]] == [("get_weather", {"city": "Paris"})]
    assert first["finish"] == "tool-calls"
    assert first["reasoning"] == (THOUGHT if generation in THINKS else None)
    assert (last["text"], last["finish"]) == (ANSWER, "stop")


def test_vercel_ai_sdk_generates_an_object(ai_sdk: Path, glm4_server: RunningServer) -> None:
    """By the demo model, whose answer is held to the schema."""
    words = ["node", str(ai_sdk / "object.mjs"), f"{glm4_server.url}/v1", "demo-glm4", "Weather in Paris for 3 days?"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    seen = json.loads(done.stdout)
    assert seen["finish"] == "stop"
    assert seen["object"].keys() == {"city", "unit", "days"}
    assert seen["object"]["unit"] in ("celsius", "fahrenheit")
    assert 1 <= seen["object"]["days"] <= 9


def test_curl(url: str, openai: OpenAI) -> None:
    """``curl -N`` shows every event as it comes; each is one line of JSON."""
    body = json.dumps({"model": model_of(openai), "messages": [QUESTION], "tools": [WEATHER], "stream": True})
    words = ["curl", "-sN", f"{url}/chat/completions", "-H", "Content-Type: application/json", "-d", body]
    lines = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout.split("\n\n")
    events = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    choices = [json.loads(event)["choices"][0] for event in events[:-1]]
    assert choices[-1]["finish_reason"] == "tool_calls"
    calls = [call for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"city": "Paris"}


def test_parallel_calls(tmp_path: Path) -> None:
    with replaying(replay_file(tmp_path, "glm47", PARALLEL)) as url:
        client = OpenAI(base_url=url, api_key="none", max_retries=0)
        with client.chat.completions.stream(model=model_of(client), messages=[QUESTION], tools=[WEATHER]) as stream:
            calls = stream.get_final_completion().choices[0].message.tool_calls
    assert calls is not None
    assert [json.loads(call.function.arguments)["city"] for call in calls] == ["Paris", "Oslo"]
    assert len({call.id for call in calls}) == 2
