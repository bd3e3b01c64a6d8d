"""The route by which the chat page turns a model's Markdown into HTML."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from ..markdown.renderer import MAX_TEXT, Renderer
from .endpoint import json_response
from .http.body import JsonRoute
from .openai.errors import ErrorBody


class RenderBody(BaseModel):
    """``POST /render``: text in Markdown."""

    model_config = ConfigDict(extra="forbid")

    text: str = Field(max_length=MAX_TEXT, examples=["# Title\n\nSome *text*."])


class RenderedBlock(BaseModel):
    """A paragraph, list, table or the like: the first of its lines, counted from 0, and its HTML."""

    line: int
    html: str


class RenderedText(BaseModel):
    """The blocks in their order."""

    blocks: list[RenderedBlock]


def rendering_router(renderer: Renderer) -> APIRouter:
    """``POST /render``."""
    router = APIRouter(route_class=JsonRoute, tags=["pages"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/render", summary="Markdown as HTML", responses={200: {"model": RenderedText}})
    async def render(body: RenderBody) -> Response:
        """CommonMark with tables, strikethrough and formulas in LaTeX. The HTML is safe to show: it has no scripts,
        styles, forms or images; links lead to `http`, `https` and `mailto` only. Code has Pygments' classes, and
        formulas are MathML. While a text grows, all of
        its blocks but the last stay as they are, so a page need only send what begins with the last block's line.
        """
        return json_response({"blocks": await renderer.render(body.text)})

    return router
