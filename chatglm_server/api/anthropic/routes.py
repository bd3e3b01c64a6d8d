"""Anthropic's endpoints: messages, the count of their tokens, and a place for Claude Code's telemetry."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ..dialect import Json
from ..endpoint import Endpoint
from ..http.body import JsonRoute
from .bodies import MessagesBody
from .errors import MessagesErrorBody, new_request_id
from .message import MessageAnswer
from .schemas import MessageObject, TokenCount


def messages_router(endpoint: Endpoint) -> APIRouter:
    """The routes at ``/v1/messages``."""
    router = APIRouter(
        prefix="/v1/messages",
        route_class=JsonRoute,
        tags=["Anthropic"],
        responses={"4XX": {"model": MessagesErrorBody}},
    )

    @router.post("", summary="Answer a conversation", responses={200: {"model": MessageObject}})
    async def messages(request: Request, body: MessagesBody) -> Response:
        """Whole, or as server-sent events with `"stream": true`; calls come as blocks of the type `tool_use`."""
        asked = body.to_request(await endpoint.capabilities(body.model))

        def shape(model: str) -> MessageAnswer:
            return MessageAnswer(model, max_tokens=body.max_tokens, shows_thoughts=body.shows_thoughts)

        response = await endpoint.answer(request, asked, shape, body.field_of)
        response.headers["request-id"] = new_request_id()
        return response

    @router.post(
        "/count_tokens",
        summary="The length of a prompt",
        response_model=None,
        responses={200: {"model": TokenCount}, 501: {"model": MessagesErrorBody}, 529: {"model": MessagesErrorBody}},
    )
    async def count_tokens(request: Request, body: MessagesBody) -> Json:
        """As the model reads it: system, tools and messages. Nothing is generated."""
        asked = body.to_request(await endpoint.capabilities(body.model), counted=True)
        return {"input_tokens": await endpoint.count_tokens(request, asked, body.field_of)}

    return router


def telemetry_router() -> APIRouter:
    """Claude Code sends its usage statistics here, unless it is told not to. They are not read."""
    router = APIRouter(include_in_schema=False)

    @router.post("/api/event_logging/{rest:path}")
    async def events() -> Json:
        """Accepted, so that the client does not try again. The body is not read."""
        return {}

    return router
