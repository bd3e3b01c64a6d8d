"""GLM-API's endpoints, so that scripts written for it need not change (uniai-lab/GLM-API: README.md, ``api.py``).

They stand beside OpenAI's below ``/v1`` and answer from the same engine. Where GLM-API failed with a 500 there is an
error object that names the field.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...answer import Answer
from ...chat import Finish, ReasoningDelta, TextDelta, ToolCallAbandoned
from ...embeddings.base import Embedder
from ...engine.base import Engine
from ..access_log import RequestRecord
from ..body import JsonRoute
from ..endpoint import Events, accepted, unless_disconnected
from ..openai.chunks import ChatCompletion, Json
from ..openai.conversation import ErrorBody
from ..sse import event_stream
from .bodies import GLMChatBody, ModelCard, TokenizeBody

_LINE_END = "\r\n"  # GLM-API left this to sse-starlette's default, so its clients may split at \r\n\r\n


def glm_router(engine: Engine, embedder: Embedder | None, keep_alive_s: float) -> APIRouter:
    """The routes at the root."""
    router = APIRouter(route_class=JsonRoute, tags=["GLM-API"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/chat", summary="Answer a conversation, as GLM-API does")
    async def chat(request: Request, body: GLMChatBody) -> Response:
        """Whole, or streamed: what is new with each event, or with `"chunk": false` the text so far."""
        chat_request = body.to_request(engine.info.honours)
        record: RequestRecord = request.state.record
        record.notes |= {
            "model": engine.info.id,
            "messages": len(chat_request.messages),
            "tools": len(chat_request.tools),
            "stream": "yes" if body.stream else "no",
        }
        events = await accepted(engine.chat(chat_request), record)
        if body.stream:
            chunks = _new_text(events, engine.info.id) if body.chunk else _text_so_far(events, engine.info.id)
            return event_stream(chunks, keep_alive_s, sep=_LINE_END)
        history = (await request.json())["messages"] if body.return_function_call else None
        return await unless_disconnected(request, _whole(events, engine.info.id, history))

    @router.post("/tokenize", summary="Token ids of a text")
    async def tokenize(body: TokenizeBody) -> Json:
        """`tokenIds` with the special tokens around the text, cut to `max_tokens`; `tokens` without them, uncut."""
        tokens = await engine.tokenize(body.prompt)
        excess = max(0, len(tokens) - body.max_tokens)
        text = [number for number, token in enumerate(tokens) if not token.special]
        cut = set(text[max(0, len(text) - excess) :])
        return {
            "tokenIds": [token.id for number, token in enumerate(tokens) if number not in cut][: body.max_tokens],
            "tokens": [token.piece for token in tokens if not token.special],
            "model": engine.info.id,
            "object": "tokenizer",
        }

    @router.get("/models", summary="The models, and what each is for")
    async def models() -> Json:
        """`object` is ``chat.completion``, ``embedding`` or ``keyword``. OpenAI's list is ``/v1/models``."""
        cards = []
        if embedder is not None:
            name, created = embedder.info.id, embedder.info.created
            cards += [ModelCard(id=name, object=use, created=created) for use in ("embedding", "keyword")]
        cards.append(ModelCard(id=engine.info.id, object="chat.completion", created=engine.info.created))
        return {"object": "list", "data": [card.model_dump() for card in cards]}

    return router


async def _new_text(events: Events, model: str) -> AsyncGenerator[Json, None]:
    """OpenAI's deltas in GLM-API's chunks."""
    shape, chunk = ChatCompletion(model), _Chunk(model)
    async with aclosing(events):
        yield chunk({"role": "assistant"})
        async for event in events:
            sent = shape.chunk(event)
            for choice in sent["choices"] if sent is not None else ():
                yield chunk(choice["delta"], choice["finish_reason"])


async def _text_so_far(events: Events, model: str) -> AsyncGenerator[Json, None]:
    """Each chunk of text repeats what came before. Calls come whole, once the text is over."""
    chunk, answer = _Chunk(model), Answer()
    async with aclosing(events):
        yield chunk({"role": "assistant"})
        async for event in events:
            answer.add(event)
            if isinstance(event, TextDelta | ToolCallAbandoned):
                yield chunk({"content": answer.content})
            elif isinstance(event, ReasoningDelta):
                yield chunk({"reasoning_content": answer.reasoning})
            elif isinstance(event, Finish):
                if answer.tool_calls:
                    calls = ChatCompletion(model).whole([answer])["choices"][0]["message"]["tool_calls"]
                    yield chunk({"tool_calls": [{"index": index} | call for index, call in enumerate(calls)]})
                yield chunk({}, event.reason)


async def _whole(events: Events, model: str, history: list[Json] | None) -> Json:
    """`history` holds the messages as they were sent where ChatGLM3's way of returning a call was asked for."""
    answer = Answer()
    async with aclosing(events):
        async for event in events:
            answer.add(event)
    whole = ChatCompletion(model).whole([answer])
    (choice,) = whole["choices"]
    message = choice["message"] | {"metadata": None, "tools": None}
    del message["refusal"]
    reason = choice["finish_reason"]
    if history is not None:
        if reason == "tool_calls":
            (call,) = answer.tool_calls
            parameters = json.loads(call.arguments)
            message["content"] = json.dumps({"name": call.name, "parameters": parameters}, ensure_ascii=False)
            del message["tool_calls"]
            reason = "function_call"
            history = [*history, {"role": "assistant", "metadata": call.name, "content": call.arguments}]
        else:
            history = [*history, {"role": "assistant", "metadata": "", "content": answer.content}]
    usage = answer.finished().usage
    return {
        "model": model,
        "id": whole["id"],
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": reason, "history": history}],
        "created": whole["created"],
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
            "completion_tokens": usage.completion_tokens,
        },
    }


class _Chunk:
    """The chunks of one answer; `id` is of the GLM-4 version, the ChatGLM3 version had none."""

    def __init__(self, model: str) -> None:
        self._common = {
            "model": model,
            "id": "chatcmpl-" + secrets.token_hex(12),
            "object": "chat.completion.chunk",
        }

    def __call__(self, delta: Json, finish_reason: str | None = None) -> Json:
        return self._common | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}
