"""OpenAI's endpoints for answers: chat completions and completions."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...answer import Answer
from ...chat import Accepted, Finish, Usage
from ...engine.base import Engine
from ..access_log import RequestRecord
from ..body import JsonRoute
from ..endpoint import Events, accepted, unless_disconnected
from ..models import check_model
from ..sse import event_stream
from .chunks import ChatCompletion, Json, TextCompletion
from .conversation import ChatCompletionBody, CompletionBody, ErrorBody


def openai_router(engine: Engine, keep_alive_s: float, *, report_repairs: bool = False) -> APIRouter:
    """The routes below ``/v1``. `report_repairs` as in `ChatCompletion`."""
    router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/chat/completions", summary="Answer a conversation")
    async def chat_completions(request: Request, body: ChatCompletionBody) -> Response:
        """Whole, or as server-sent events with `"stream": true`; tool calls come as OpenAI `tool_calls`."""
        check_model(engine, body.model)
        chat = body.to_request(engine.info.honours)
        record: RequestRecord = request.state.record
        record.notes |= {
            "model": engine.info.id,
            "messages": len(chat.messages),
            "tools": len(chat.tools),
            "stream": "yes" if body.stream else "no",
        }
        shape = ChatCompletion(engine.info.id, report_repairs=report_repairs)
        events = await accepted(engine.chat(chat), record)
        if body.stream:
            return event_stream(chat_chunks(events, shape, chat.choices or 1, body.include_usage), keep_alive_s)
        return await unless_disconnected(request, whole_chat(events, shape))

    @router.post("/completions", summary="Continue a bare prompt")
    async def completions(request: Request, body: CompletionBody) -> Response:
        """The prompt goes to the model as it is: no roles, no tools. Several prompts are answered each by itself."""
        check_model(engine, body.model)
        completion = body.to_request(engine.info.honours)
        record: RequestRecord = request.state.record
        record.notes |= {
            "model": engine.info.id,
            "prompts": len(completion.prompts),
            "stream": "yes" if body.stream else "no",
        }
        shape = TextCompletion(engine.info.id)
        events = await accepted(engine.complete(completion), record)
        if body.stream:
            return event_stream(text_chunks(events, shape, body.include_usage), keep_alive_s)
        return await unless_disconnected(request, whole_text(events, shape))

    return router


async def chat_chunks(
    events: Events, shape: ChatCompletion, choices: int, include_usage: bool
) -> AsyncGenerator[Json, None]:
    """The answers as a stream, each chunk of one of them; each answer begins with its role."""
    async with aclosing(events), aclosing(text_chunks(events, shape, include_usage)) as chunks:
        for choice in range(choices):
            yield shape.first_chunk(choice)
        async for chunk in chunks:
            yield chunk


async def whole_chat(events: Events, shape: ChatCompletion) -> Json:
    """The answers in one. In a thread, for the sake of others: log probabilities can be half a million objects."""
    return await asyncio.to_thread(shape.whole, await _collected(events))


async def text_chunks(
    events: Events, shape: TextCompletion | ChatCompletion, include_usage: bool
) -> AsyncGenerator[Json, None]:
    """The answers as a stream, each chunk of one of them."""
    usage = Usage()
    async with aclosing(events):
        async for event in events:
            chunk = shape.chunk(event)
            if chunk is not None:
                yield chunk
            if isinstance(event, Finish):
                usage += event.usage
    if include_usage:
        yield shape.usage_chunk(usage)


async def whole_text(events: Events, shape: TextCompletion) -> Json:
    """The answers to all prompts in one."""
    return await asyncio.to_thread(shape.whole, await _collected(events))


async def _collected(events: Events) -> list[Answer]:
    """The answers by their numbers."""
    answers: defaultdict[int, Answer] = defaultdict(Answer)
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Accepted):
                answers[event.choice].add(event)
    return [answers[choice] for choice in sorted(answers)]
