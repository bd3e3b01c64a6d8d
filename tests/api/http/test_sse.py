"""The streams themselves, where a real client cannot easily be made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from starlette.responses import Response

from chatglm_server.api.dialect import StreamEvent
from chatglm_server.api.http.json_lines import json_lines
from chatglm_server.api.http.sse import event_stream
from chatglm_server.api.ollama.dialect import OllamaDialect
from chatglm_server.api.openai.chat_completion import ChatCompletion
from chatglm_server.api.openai.dialect import OpenAIDialect

SHAPE = ChatCompletion("model")


def events(chunks: AsyncGenerator[StreamEvent, None]) -> Response:
    return event_stream(chunks, OpenAIDialect(), 5, SHAPE, send_timeout_s=0.1)


def lines(chunks: AsyncGenerator[StreamEvent, None]) -> Response:
    return json_lines(chunks, OllamaDialect(), 60.0, SHAPE, send_timeout_s=0.1)


@pytest.mark.parametrize("streamed", [events, lines])
def test_client_that_takes_nothing_is_given_up(
    streamed: Callable[[AsyncGenerator[StreamEvent, None]], Response],
) -> None:
    closed = []

    async def chunks() -> AsyncGenerator[StreamEvent, None]:
        try:
            while True:
                yield StreamEvent({"text": "x"})
        finally:
            closed.append(True)

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def serve() -> None:
        scope = {"type": "http", "method": "POST"}
        await asyncio.wait_for(streamed(chunks())(scope, receive, send), 10)
        assert closed

    asyncio.run(serve())
