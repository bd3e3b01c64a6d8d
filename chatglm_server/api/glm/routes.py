"""GLM-API's endpoints, so that scripts written for it need not change (uniai-lab/GLM-API: README.md, ``api.py``).

They stand beside OpenAI's below ``/v1`` and answer from the same engine. If GLM-API failed with a 500, these answer
with an error object that names the field.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...service import Service
from ..dialect import AnswerShape, Json
from ..endpoint import Endpoint
from ..http.body import JsonRoute
from ..openai.errors import ErrorBody
from .bodies import GLMChatBody, ModelCard, TokenizeBody
from .chat_answer import NewText, TextSoFar
from .schemas import GLMChatObject, ModelCards, TokenizedText


def glm_router(endpoint: Endpoint, service: Service) -> APIRouter:
    """The routes at the root."""
    engine, embedder = service.engine, service.embedder
    router = APIRouter(route_class=JsonRoute, tags=["GLM-API"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/chat", summary="Answer a conversation, as GLM-API does", responses={200: {"model": GLMChatObject}})
    async def chat(request: Request, body: GLMChatBody) -> Response:
        """Whole, or streamed: each event holds the new text, or with `"chunk": false` all text so far."""
        history = (await request.json())["messages"] if body.return_function_call else None

        def shape(model: str) -> AnswerShape:
            return NewText(model, history) if body.chunk else TextSoFar(model, history)

        asked = body.to_request(await endpoint.capabilities(None))
        return await endpoint.answer(request, asked, shape, body.field_of)

    @router.post(
        "/tokenize",
        summary="Token ids of a text",
        response_model=None,
        responses={200: {"model": TokenizedText}, 501: {"model": ErrorBody}, 503: {"model": ErrorBody}},
    )
    async def tokenize(body: TokenizeBody) -> Json:
        """`tokenIds` include the special tokens around the text and are cut to `max_tokens`; `tokens` do neither."""
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

    @router.get(
        "/models",
        summary="The models, and what each is for",
        response_model=None,
        responses={200: {"model": ModelCards}},
    )
    async def models() -> Json:
        """`object` is ``chat.completion``, ``embedding`` or ``keyword``. OpenAI's list is ``/v1/models``."""
        cards = []
        if embedder is not None:
            name, created = embedder.info.id, embedder.info.created
            cards += [ModelCard(id=name, object=use, created=created) for use in ("embedding", "keyword")]
        for info in await engine.models():
            cards.append(ModelCard(id=info.id, object="chat.completion", created=info.created))
        return {"object": "list", "data": [card.model_dump() for card in cards]}

    return router
