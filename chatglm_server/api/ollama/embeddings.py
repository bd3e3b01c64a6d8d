"""Ollama's ``/api/embed`` and the older ``/api/embeddings``."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ...embeddings.base import Embedder
from ...errors import InvalidRequest
from ..dialect import Json
from ..embeddings import note_embeddings, served_embedder, unit_vectors
from ..endpoint import json_response, unless_disconnected
from ..glm.bodies import MAX_TEXTS
from .bodies import EmbedBody, EmbeddingsBody, NamedBody
from .names import not_found
from .schemas import OllamaErrorBody, OllamaVector, OllamaVectors


def add_embedding_routes(router: APIRouter, embedder: Embedder | None) -> None:
    """Adds the routes to `router`. Without an embedder they answer how to start the server with one."""

    errors: dict[int | str, dict[str, object]] = {kind: {"model": OllamaErrorBody} for kind in (429, 501, 503)}

    @router.post(
        "/embed", summary="Vectors of texts, as Ollama gives them", responses=errors | {200: {"model": OllamaVectors}}
    )
    async def embed(request: Request, body: EmbedBody) -> Response:
        """The vectors have length 1. An empty text alone has no vector."""
        started = time.perf_counter()
        model = _model(embedder, body)
        texts = [body.input] if isinstance(body.input, str) else body.input
        if len(texts) > MAX_TEXTS:
            raise InvalidRequest(f"input: at most {MAX_TEXTS} texts, not {len(texts)}", param="input")

        async def answer() -> Response:
            head: Json = {"model": body.asked or model.info.id, "embeddings": []}
            count = 0
            if texts not in ([], [""]):
                embedded = await model.embed(texts, param="input", cut=body.truncate is not False)
                note_embeddings(request, model, embedded)
                count = sum(embedded.tokens)
                vectors = unit_vectors(embedded.vectors, body.dimensions)
                head["embeddings"] = await asyncio.to_thread(vectors.tolist)
            total = round((time.perf_counter() - started) * 1e9)
            figures = {"total_duration": total, "load_duration": 0, "prompt_eval_count": count}
            return await asyncio.to_thread(json_response, head | figures)

        return await unless_disconnected(request, answer())

    @router.post(
        "/embeddings",
        summary="The vector of a text, as Ollama gave it before",
        responses=errors | {200: {"model": OllamaVector}},
    )
    async def embeddings(request: Request, body: EmbeddingsBody) -> Response:
        """The vector as the model gives it."""
        model = _model(embedder, body)

        async def answer() -> Response:
            if not body.prompt:
                return json_response({"embedding": []})
            embedded = await model.embed([body.prompt], param="prompt", cut=True)
            note_embeddings(request, model, embedded)
            return json_response({"embedding": embedded.vectors[0].tolist()})

        return await unless_disconnected(request, answer())


def _model(embedder: Embedder | None, body: NamedBody) -> Embedder:
    """The embedder, if the client may call it so. Raises: NotSupported, ModelNotFound."""
    model = served_embedder(embedder, None)
    if body.asked is not None and not model.info.is_called(body.asked):
        raise not_found(body.asked, [model.info])
    return model
