"""An engine's events on their way to a client: what every endpoint that answers does alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from typing import Any

import pydantic_core
from fastapi import Request
from fastapi.responses import Response

from ..chat import Event
from .access_log import RequestRecord
from .body import CLIENT_CLOSED
from .openai.chunks import Json

Events = AsyncGenerator[Event, None]


async def accepted(events: Events, record: RequestRecord) -> Events:
    """The events of an answer, once its request was accepted; what fails until then is still an HTTP status."""
    noted = _noted(events, record)
    await anext(noted)
    return noted


async def _noted(events: Events, record: RequestRecord) -> Events:
    async with aclosing(events):
        async for event in events:
            record.note(event)
            yield event


async def unless_disconnected(request: Request, answer: Coroutine[Any, Any, Json | Response]) -> Response:
    """The response that `answer` gives or is to hold. It is cancelled when the client goes away before that."""
    answering = asyncio.create_task(answer)
    watching = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            return Response(status_code=CLIENT_CLOSED)
        result = answering.result()
        return result if isinstance(result, Response) else await asyncio.to_thread(_json_response, result)
    finally:
        for task in (answering, watching):
            task.cancel()
        await asyncio.gather(answering, watching, return_exceptions=True)


def _json_response(value: Json) -> Response:
    """In a thread, and not with Python's own encoder: log probabilities can be tens of megabytes, and others wait."""
    return Response(pydantic_core.to_json(value), media_type="application/json")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
