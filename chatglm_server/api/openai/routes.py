"""OpenAI's endpoints for answers: chat completions and completions."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ..dialect import Options
from ..endpoint import Endpoint
from ..http.body import JsonRoute
from .bodies import ChatCompletionBody, CompletionBody
from .chat_completion import ChatCompletion
from .errors import ErrorBody
from .schemas import ChatCompletionObject, TextCompletionObject
from .text_completion import TextCompletion


def openai_router(endpoint: Endpoint, options: Options) -> APIRouter:
    """The routes below ``/v1``."""
    router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/chat/completions", summary="Answer a conversation", responses={200: {"model": ChatCompletionObject}})
    async def chat_completions(request: Request, body: ChatCompletionBody) -> Response:
        """Whole, or as server-sent events with `"stream": true`; tool calls come as OpenAI `tool_calls`."""
        asked = body.to_request(await endpoint.capabilities(body.model))

        def shape(model: str) -> ChatCompletion:
            return ChatCompletion(
                model,
                choices=asked.choices or 1,
                offers_tools=bool(asked.callable_tools or asked.foreign_tools),
                include_usage=body.include_usage,
                report_repairs=options.report_repairs,
                function_call=body.uses_functions,
                include_timings=bool(body.timings_per_token),
                include_progress=bool(body.return_progress),
            )

        return await endpoint.answer(request, asked, shape, body.field_of)

    @router.post("/completions", summary="Continue a bare prompt", responses={200: {"model": TextCompletionObject}})
    async def completions(request: Request, body: CompletionBody) -> Response:
        """The prompt goes to the model as it is: no roles, no tools. Several prompts are answered each by itself."""
        asked = body.to_request(await endpoint.capabilities(body.model))

        def shape(model: str) -> TextCompletion:
            timings = bool(body.timings_per_token)
            return TextCompletion(model, include_usage=body.include_usage, include_timings=timings)

        return await endpoint.answer(request, asked, shape, body.field_of)

    return router
