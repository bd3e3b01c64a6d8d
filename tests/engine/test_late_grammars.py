"""What waits for the grammar of an answer's calls: its first token, or the whole request, if that may be refused."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from chatglm_server.answer import Answer
from chatglm_server.chat import Accepted, ChatRequest, Event, Message, PromptRead, Tool, ToolChoice
from chatglm_server.engine.local import LocalEngine
from chatglm_server.errors import InvalidRequest
from chatglm_server.loader import load_local_engine
from chatglm_server.sampling import Sampling
from chatglm_server.settings import Settings

WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
REQUEST = ChatRequest(
    (Message("user", "What is the weather in Paris?"),),
    (Tool(WEATHER),),
    sampling=Sampling(temperature=0.8, seed=5, max_tokens=60),
)
PLAIN = replace(REQUEST, tools=())


async def loaded() -> LocalEngine:
    engine = load_local_engine(Settings(_env_file=None, model="demo-glm4", parallel=2, threads=1))
    await engine.load()
    return engine


def said(events: list[Event]) -> tuple[str, list[tuple[str, str]]]:
    """The text of an answer, and the names and arguments of its calls."""
    given = Answer.of(events)
    return given.content, [(call.name, call.arguments) for call in given.tool_calls]


async def answer(engine: LocalEngine, request: ChatRequest) -> tuple[str, list[tuple[str, str]]]:
    return said([event async for event in engine.chat(request)])


@pytest.mark.parametrize("choice", [ToolChoice(), ToolChoice("required")], ids=["auto", "required"])
def test_a_request_runs_while_its_grammar_is_made(choice: ToolChoice) -> None:
    """Others are answered meanwhile, and its own answer is the one that it gets when the grammar is there already."""

    async def main() -> None:
        engine, events = await loaded(), list[Event]()

        async def read() -> None:
            async for event in engine.chat(replace(REQUEST, tool_choice=choice)):
                events.append(event)

        with engine._grammars._reading:  # no grammar can be compiled
            reading = asyncio.create_task(read())
            while (await engine.status()).queue["running"] == 0:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            other = await answer(engine, PLAIN)
            assert (await engine.status()).queue["running"] == 1
            assert [type(event) for event in events] == [Accepted, PromptRead], "no part of the answer"
        await reading
        assert said(events) == await answer(engine, replace(REQUEST, tool_choice=choice))
        assert other == await answer(engine, PLAIN)
        engine.stop()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_request_that_may_be_refused_waits() -> None:
    async def main() -> None:
        engine = await loaded()
        tool = Tool({**WEATHER, "strict": True, "parameters": {"type": "object", "not": {}}})
        with engine._grammars._reading:
            asking = asyncio.create_task(answer(engine, replace(REQUEST, tools=(Tool(WEATHER), tool))))
            await answer(engine, PLAIN)
            assert (await engine.status()).queue["running"] == 0
        with pytest.raises(InvalidRequest, match="cannot be honoured"):
            await asking
        engine.stop()

    asyncio.run(asyncio.wait_for(main(), 60))
