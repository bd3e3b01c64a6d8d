"""Real clients over a real socket, against the demo model."""

from __future__ import annotations

import asyncio
import json
from typing import Literal, cast

import instructor
import pytest
from instructor import Mode
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI, NotFoundError, OpenAI
from openai.types.chat import (
    ChatCompletionAssistantMessageParam,
    ChatCompletionMessageParam,
    ChatCompletionToolChoiceOptionParam,
)
from pydantic import BaseModel, Field, SecretStr

from tests.conftest import ADD, WEATHER
from tests.serving import RunningServer

QUESTION = "What is the weather in Paris?"


def test_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo", messages=[{"role": "user", "content": "Hello!"}], temperature=0
    )
    assert answer.model == "demo"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_chinese(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=[{"role": "user", "content": "你好"}], temperature=0)
    content = answer.choices[0].message.content
    assert content is not None
    assert any("\u4e00" <= char <= "\u9fff" for char in content)


def test_stream_joins_to_the_whole_answer(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Who are you?"}]
    whole = client.chat.completions.create(model="demo", messages=messages, temperature=0)
    chunks = list(client.chat.completions.create(model="demo", messages=messages, temperature=0, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == whole.choices[0].finish_reason


def test_tool_call_and_result(client: OpenAI) -> None:
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
    asked = client.chat.completions.create(model="demo", messages=messages, tools=[WEATHER], temperature=0)
    assert asked.choices[0].finish_reason == "tool_calls"
    message = asked.choices[0].message
    assert message.content is None
    (call,) = message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}

    messages += [
        cast(ChatCompletionAssistantMessageParam, message.to_dict()),
        {"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 21, "condition": "sunny"}'},
    ]
    told = client.chat.completions.create(model="demo", messages=messages, tools=[WEATHER], temperature=0)
    assert told.choices[0].finish_reason == "stop"
    assert "21" in (told.choices[0].message.content or "")


def test_stream_helper_gathers_the_call(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model="demo",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[WEATHER, ADD],
        temperature=0,
    ) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].finish_reason == "tool_calls"
    (call,) = final.choices[0].message.tool_calls or []
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})


def test_greeting_is_no_call(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "Hello!"}],
        tools=[WEATHER],
        temperature=0,
    )
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.tool_calls is None


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "add"}}])
def test_forced_call(client: OpenAI, choice: ChatCompletionToolChoiceOptionParam) -> None:
    answer = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": "What is 3 plus 4?"}],
        tools=[WEATHER, ADD],
        tool_choice=choice,
        temperature=0,
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("add", {"a": 3, "b": 4})


def test_forced_call_where_the_model_would_not(client: OpenAI) -> None:
    reasons: dict[Literal["auto", "required"], str] = {"auto": "stop", "required": "tool_calls"}
    for choice, reason in reasons.items():
        answer = client.chat.completions.create(
            model="demo",
            messages=[{"role": "user", "content": "I live in Paris."}],
            tools=[ADD, WEATHER],
            tool_choice=choice,
            temperature=0,
        )
        assert answer.choices[0].finish_reason == reason
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "get_weather"


def test_tool_choice_none(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="demo",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[WEATHER],
        tool_choice="none",
        temperature=0,
    )
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content


def test_async_clients_get_what_they_get_alone(server: RunningServer) -> None:
    questions = ["Hello!", "Who are you?", "你好", "What can you do?"]

    async def ask(client: AsyncOpenAI, question: str) -> str | None:
        answer = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": question}], temperature=0
        )
        return answer.choices[0].message.content

    async def compare() -> None:
        async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
            alone = [await ask(client, question) for question in questions]
            together = await asyncio.gather(*(ask(client, question) for question in questions))
            assert alone == list(together)

    asyncio.run(compare())


def test_models(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("gpt-3.5-turbo").id == "demo"
    with pytest.raises(NotFoundError, match="gpt-9"):
        client.models.retrieve("gpt-9")


def test_completions(client: OpenAI) -> None:
    answer = client.completions.create(model="demo", prompt=["Hello", "你好"], max_tokens=5, temperature=0)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None
    assert answer.usage.completion_tokens <= 10


def test_glm4(glm4_server: RunningServer) -> None:
    client = OpenAI(base_url=f"{glm4_server.url}/v1", api_key="none", max_retries=0)
    answer = client.chat.completions.create(
        model="demo-glm4",
        messages=[{"role": "user", "content": QUESTION}],
        tools=[WEATHER],
        temperature=0,
    )
    (call,) = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})


@tool
def get_weather(city: str) -> str:
    """Get the current weather in a city."""
    return f'{{"city": "{city}", "temperature": 21}}'


@pytest.mark.parametrize("streaming", [False, True])
def test_langchain_agent_turn(server: RunningServer, streaming: bool) -> None:
    model = ChatOpenAI(
        model="demo", base_url=f"{server.url}/v1", api_key=SecretStr("none"), temperature=0, streaming=streaming
    ).bind_tools([get_weather])
    question = HumanMessage(QUESTION)
    asked = model.invoke([question])
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("get_weather", {"city": "Paris"})
    told = model.invoke([question, asked, ToolMessage(get_weather.invoke(call["args"]), tool_call_id=call["id"])])
    assert not told.tool_calls
    assert "21" in told.text


class Forecast(BaseModel):
    """The weather of some days."""

    city: str = Field(max_length=12)
    unit: Literal["celsius", "fahrenheit"]
    days: int = Field(ge=1, le=9)


@pytest.mark.parametrize("mode", [Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON_SCHEMA])
def test_instructor(glm4_server: RunningServer, mode: Mode) -> None:
    """Without a second try: the first answer fits the class."""
    openai = OpenAI(base_url=f"{glm4_server.url}/v1", api_key="none", max_retries=0)
    answer = instructor.from_openai(openai, mode=mode).chat.completions.create(
        model="demo-glm4",
        messages=[{"role": "user", "content": f"{QUESTION} For 3 days."}],
        response_model=Forecast,
        max_retries=0,
        temperature=0,
    )
    assert isinstance(answer, Forecast)
