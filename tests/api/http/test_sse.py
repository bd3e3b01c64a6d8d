"""The event stream itself, where a real client cannot easily be made to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

from chatglm_server.api.dialect import StreamEvent
from chatglm_server.api.http.sse import event_stream
from chatglm_server.api.openai.chat_completion import ChatCompletion
from chatglm_server.api.openai.dialect import OpenAIDialect


def test_client_that_takes_nothing_is_given_up() -> None:
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
        response = event_stream(chunks(), OpenAIDialect(), 5, ChatCompletion("model"), send_timeout_s=0.1)
        await asyncio.wait_for(response(scope, receive, send), 10)
        assert closed

    asyncio.run(serve())
