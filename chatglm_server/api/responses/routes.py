"""The endpoints of the Responses API."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...errors import NotFound
from ..endpoint import Endpoint
from ..http.body import JsonRoute
from ..openai.errors import ErrorBody
from .bodies import ReadRequest, ResponsesBody
from .response import ResponseAnswer
from .schemas import ResponseObject


def responses_router(endpoint: Endpoint) -> APIRouter:
    """The routes below ``/v1/responses``."""
    router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/responses", summary="Answer a conversation of items", responses={200: {"model": ResponseObject}})
    async def responses(request: Request, body: ResponsesBody) -> Response:
        """Whole, or as server-sent events with `"stream": true`. No response is kept: `store` is always false."""
        asked = ReadRequest(body, await endpoint.capabilities(body.model))

        def shape(model: str) -> ResponseAnswer:
            return ResponseAnswer(asked.asked, model)

        return await endpoint.answer(request, asked.request, shape, asked.field_of)

    @router.api_route("/responses/{rest:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False)
    async def kept(rest: str) -> Response:
        raise NotFound("this server keeps no responses; send the whole conversation to POST /v1/responses")

    return router
