"""OpenAI's endpoints for answers where another server gives them: its business is what a request may say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...chat import ChatRequest, CompletionRequest, Tool, ToolChoice
from ...engine.base import Engine
from ..access_log import RequestRecord
from ..body import JsonRoute
from ..endpoint import accepted, unless_disconnected
from ..sse import event_stream
from .chunks import ChatCompletion, Json, TextCompletion
from .conversation import Conversation, ErrorBody, Prompts, split_prompts
from .parameters import check_neutral
from .routes import chat_chunks, text_chunks, whole_chat, whole_text

NOT_CARRIED = ("n", "logprobs", "top_logprobs", "audio", "modalities", "functions", "function_call")
"""Parameters that ask for something in the answer which this server would not pass on."""


class ForwardedBody(BaseModel):
    """A body of which only that is read which this server needs for itself."""

    model_config = ConfigDict(extra="allow")

    model: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None

    @property
    def include_usage(self) -> bool:
        """Whether a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.get("include_usage"))

    def sent(self) -> Json:
        """The body as it was sent. Raises: UnsupportedParameter."""
        body = self.model_dump(exclude_unset=True)
        for name in NOT_CARRIED:
            check_neutral(name, body.get(name))
        return body


class ForwardedChatBody(ForwardedBody):
    """A conversation to be answered; messages and tools are the other server's to understand."""

    messages: Any = Field(description="passed on as they are")
    tools: Any = None
    tool_choice: Any = None
    parallel_tool_calls: Any = None

    def to_request(self, *, understood: bool) -> ChatRequest:
        """`understood`: the conversation, too, has to be what this server can read.

        Raises: UnsupportedParameter, InvalidRequest, RequestValidationError.
        """
        body = self.sent()
        if not understood:
            choice = ToolChoice("none") if self.tool_choice == "none" else ToolChoice()
            return ChatRequest((), self._tools(), choice, self.parallel_tool_calls is not False, body=body)
        try:
            conversation = Conversation.model_validate(body)
        except ValidationError as error:
            raise RequestValidationError(
                [{**problem, "loc": ("body", *problem["loc"])} for problem in error.errors()]
            ) from None
        return replace(conversation.conversation(), body=body)

    def _tools(self) -> tuple[Tool, ...]:
        """The functions among the tools: what calls in the answer's text are measured by."""
        tools = self.tools if isinstance(self.tools, list) else ()
        functions = [tool.get("function") for tool in tools if isinstance(tool, dict)]
        return tuple(
            Tool(function)
            for function in functions
            if isinstance(function, dict)
            and isinstance(function.get("name"), str)
            and isinstance(function.get("parameters"), dict | None)
        )


class ForwardedCompletionBody(ForwardedBody):
    """A bare prompt, or several, to be continued."""

    prompt: Prompts

    def to_request(self) -> CompletionRequest:
        """Raises: UnsupportedParameter, InvalidRequest."""
        return CompletionRequest(split_prompts(self.prompt), body=self.sent())


def forwarding_router(engine: Engine, keep_alive_s: float, *, report_repairs: bool = False) -> APIRouter:
    """The routes below ``/v1`` whose requests go on to another server. `report_repairs` as in `ChatCompletion`."""
    router = APIRouter(prefix="/v1", route_class=JsonRoute, tags=["OpenAI"], responses={"4XX": {"model": ErrorBody}})

    @router.post("/chat/completions", summary="Answer a conversation")
    async def chat_completions(request: Request, body: ForwardedChatBody) -> Response:
        """The request goes on with all its fields; GLM text that comes back is read for calls and thoughts."""
        chat = body.to_request(understood=engine.info.forwards == "as_text")
        record = _noted(request, body, tools=len(chat.tools))
        shape = ChatCompletion(body.model or engine.info.id, report_repairs=report_repairs)

        async def answer() -> Json | Response:
            events = await accepted(engine.chat(chat), record)
            if body.stream:
                return event_stream(chat_chunks(events, shape, 1, body.include_usage), keep_alive_s)
            return await whole_chat(events, shape)

        return await unless_disconnected(request, answer())

    @router.post("/completions", summary="Continue a bare prompt")
    async def completions(request: Request, body: ForwardedCompletionBody) -> Response:
        """The request goes on with all its fields; several prompts are sent in turn."""
        completion = body.to_request()
        record = _noted(request, body, prompts=len(completion.prompts))
        shape = TextCompletion(body.model or engine.info.id)

        async def answer() -> Json | Response:
            events = await accepted(engine.complete(completion), record)
            if body.stream:
                return event_stream(text_chunks(events, shape, body.include_usage), keep_alive_s)
            return await whole_text(events, shape)

        return await unless_disconnected(request, answer())

    return router


def _noted(request: Request, body: ForwardedBody, **counts: int) -> RequestRecord:
    """The request's record with what the log line says of it. The model's name is the client's: it is quoted."""
    record: RequestRecord = request.state.record
    record.notes |= {"model": quote(body.model or "-", safe="/:.@")[:100], **counts}
    record.notes["stream"] = "yes" if body.stream else "no"
    return record
