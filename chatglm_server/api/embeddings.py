"""OpenAI's ``/v1/embeddings``, and GLM-API's ``/embedding`` and ``/keyword``: one embedder behind all three.

OpenAI's vectors have length 1: its reference says so, and clients compare them by dot products. GLM-API's are as the
model gives them. Field names: OpenAI's API reference; uniai-lab/GLM-API, ``api.py``.
"""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from ..embeddings.base import Embedder, Embeddings
from ..errors import InvalidRequest, ModelNotFound, NotSupported
from .dialect import Json
from .endpoint import json_response, unless_disconnected
from .glm.bodies import MAX_TEXTS, EmbeddingBody, KeywordBody
from .glm.schemas import GLMVectors, Keywords
from .http.access_log import request_record
from .http.body import JsonRoute
from .known_names import known_names
from .openai.bodies import Prompts
from .openai.errors import ErrorBody
from .openai.parameters import Body
from .openai.schemas import EmbeddingList

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_TINY = 1e-12


class EmbeddingsBody(Body):
    """``POST /v1/embeddings``. Token ids are those of the embedding model's own tokenizer."""

    input: Prompts
    model: str | None = Field(None, description="the embedding model's id or one of its aliases")
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = Field(None, ge=1, description="how many numbers of each vector to keep")


def embeddings_router(embedder: Embedder | None) -> APIRouter:
    """The routes. Without an embedder they answer how to start the server with one."""
    errors: dict[int | str, dict[str, Any]] = {kind: {"model": ErrorBody} for kind in ("4XX", 429, 501, 503)}
    router = APIRouter(route_class=JsonRoute, responses=errors)

    @router.post(
        "/v1/embeddings", summary="Vectors of texts", tags=["OpenAI"], responses={200: {"model": EmbeddingList}}
    )
    async def embeddings(request: Request, body: EmbeddingsBody) -> Response:
        """The vectors have length 1, so that their dot product is the cosine."""
        model = served_embedder(embedder, body.model)

        async def answer() -> Response:
            texts = await _texts(model, body)
            embedded = await model.embed(texts, param="input")
            note_embeddings(request, model, embedded)
            vectors = unit_vectors(embedded.vectors, body.dimensions)
            # In a thread: writing a million numbers as JSON takes seconds.
            return await asyncio.to_thread(_openai_response, vectors, body, model.info.id, sum(embedded.tokens))

        return await unless_disconnected(request, answer())

    @router.post(
        "/embedding",
        summary="Vectors of texts, as GLM-API gives them",
        tags=["GLM-API"],
        responses={200: {"model": GLMVectors}},
    )
    async def embedding(request: Request, body: EmbeddingBody) -> Response:
        """The vectors as the model gives them. `truncated` numbers the texts that it reads only in part."""
        model = served_embedder(embedder, body.model)

        async def answer() -> Response:
            embedded = await model.embed(body.prompt, param="prompt", cut=True)
            note_embeddings(request, model, embedded)
            return await asyncio.to_thread(_glm_response, embedded, model.info.id)

        return await unless_disconnected(request, answer())

    @router.post(
        "/keyword",
        summary="The words that say most about a text",
        tags=["GLM-API"],
        responses={200: {"model": Keywords}},
    )
    async def keyword(request: Request, body: KeywordBody) -> Response:
        """Words whose vectors are most similar to the text's; `truncated` if the model read only its beginning."""
        body.check()
        model = served_embedder(embedder, body.model)

        async def answer() -> Response:
            diversity = body.diversity if body.mmr else None
            found = await model.keywords(
                body.input, param="input", vocabulary=body.vocab, top=body.top, diversity=diversity
            )
            request_record(request.scope).notes |= {"model": model.info.id, "keywords": len(found.keywords)}
            keywords = [{"name": item.word, "similarity": round(item.similarity, 4)} for item in found.keywords]
            truncated = {"truncated": True} if found.cut else {}
            return json_response({"model": model.info.id, "keywords": keywords, **truncated})

        return await unless_disconnected(request, answer())

    return router


def served_embedder(embedder: Embedder | None, name: str | None) -> Embedder:
    """The embedder, if a request may call it `name`. Raises: NotSupported, ModelNotFound."""
    if embedder is None:
        raise NotSupported(
            "this server has no embedding model; start it with --embedding-model FOLDER, "
            "a folder in the sentence-transformers layout"
        )
    info = embedder.info
    if name is not None and not info.is_called(name):
        raise ModelNotFound(
            f"the embedding model {name!r} does not exist; this server has {known_names([info])} "
            "(see --embedding-alias)",
            param="model",
        )
    return embedder


async def _texts(embedder: Embedder, body: EmbeddingsBody) -> list[str]:
    """The texts, decoded if they came as tokens. Raises: InvalidRequest."""
    given: list[Any] = body.input if isinstance(body.input, list) else [body.input]
    if given and isinstance(given[0], int):
        given = [given]
    if not 1 <= len(given) <= MAX_TEXTS:
        raise InvalidRequest(f"from 1 to {MAX_TEXTS} inputs, not {len(given)}", param="input")
    texts = await embedder.decode(given, param="input") if isinstance(given[0], list) else given
    for number, text in enumerate(texts):
        if not text:
            raise InvalidRequest("an input must not be empty", param=f"input[{number}]")
    return texts


def note_embeddings(request: Request, embedder: Embedder, embedded: Embeddings) -> None:
    """For the log line."""
    tokens = sum(embedded.tokens)
    request_record(request.scope).notes |= {"model": embedder.info.id, "texts": len(embedded.tokens), "tokens": tokens}


def unit_vectors(vectors: NDArray[np.float32], dimensions: int | None) -> NDArray[np.float32]:
    """The first `dimensions` numbers of each vector, scaled to length 1. Raises: InvalidRequest."""
    size = vectors.shape[1]
    if dimensions is not None and dimensions > size:
        raise InvalidRequest(f"the model's vectors have {size} dimensions, not {dimensions}", param="dimensions")
    vectors = vectors[:, :dimensions]
    lengths = (vectors * vectors).sum(axis=1, keepdims=True) ** 0.5
    scaled: NDArray[np.float32] = vectors / lengths.clip(_TINY)
    return scaled


def _openai_response(vectors: NDArray[np.float32], body: EmbeddingsBody, model: str, tokens: int) -> Response:
    encoded: list[Any]
    if body.encoding_format == "base64":
        encoded = [base64.b64encode(vector.tobytes()).decode() for vector in vectors.astype("<f4")]
    else:
        encoded = vectors.tolist()
    data = [{"object": "embedding", "index": index, "embedding": value} for index, value in enumerate(encoded)]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return JSONResponse({"object": "list", "data": data, "model": model, "usage": usage})


def _glm_response(embedded: Embeddings, model: str) -> Response:
    result: Json = {"data": embedded.vectors.tolist(), "model": model, "object": "embedding"}
    return JSONResponse(result | ({"truncated": list(embedded.cut)} if embedded.cut else {}))
