"""A request's way to the engine and its answer's way back, the same for every endpoint."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pydantic_core
from fastapi import Request
from fastapi.responses import Response
from typing_extensions import assert_never

from ..answer import Answer
from ..chat import Accepted, ChatRequest, CompletionRequest, Event, Finish, Usage
from ..engine.base import Engine, ModelInfo
from ..engine.capabilities import Capability, check_capabilities
from ..errors import ChatGLMServerError, ContextLengthExceeded, InvalidRequest, ModelNotFound
from ..log_once import log_once
from .dialect import AnswerShape, Dialect, Json, MakeShape, Options, StreamEvent
from .http.access_log import RequestRecord, request_record
from .http.body import CLIENT_CLOSED
from .http.json_lines import json_lines
from .http.max_wait import max_wait_s
from .http.sse import event_stream
from .known_names import known_names

Events = AsyncGenerator[Event, None]


class Endpoint:
    """Answers the requests of one dialect."""

    def __init__(self, engine: Engine, dialect: Dialect, options: Options) -> None:
        self._engine = engine
        self._dialect = dialect
        self._keep_alive_s = options.keep_alive_s
        self._max_wait_s = options.max_wait_s or None
        self._any_model = dialect.any_model and options.any_model

    async def capabilities(self, name: str | None) -> frozenset[Capability]:
        """The capabilities that a request for the model `name` may use. Raises: ModelFileError."""
        info = await self._found(name) or self._engine.info
        return info.capabilities - self._dialect.not_shown

    async def answer(
        self,
        request: Request,
        asked: ChatRequest | CompletionRequest,
        shape: MakeShape,
        field_of: Callable[[str], str],
    ) -> Response:
        """The response to `asked`: checked, accepted by the engine, and then streamed or whole.

        `field_of` gives the client's field for a noun. The work is cancelled if the client leaves.

        Raises: ModelNotFound, InvalidRequest and what `Engine.chat` raises; errors name the client's field.
        """
        record = request_record(request.scope)
        try:
            info = await self._model(asked, record)
            check_capabilities(asked, info.capabilities - self._dialect.not_shown)
            asked = replace(asked, max_wait_s=max_wait_s(request.headers, self._max_wait_s))
            return await unless_disconnected(request, self._answered(asked, record, shape))
        except InvalidRequest as error:
            raise _in_words_of_the_client(error, field_of) from None

    async def count_tokens(self, request: Request, asked: ChatRequest, field_of: Callable[[str], str]) -> int:
        """The length of the prompt that `asked` becomes. Raises: as `answer` does."""
        try:
            await self._model(asked, request_record(request.scope))
            return await self._engine.count_tokens(asked)
        except InvalidRequest as error:
            raise _in_words_of_the_client(error, field_of) from None

    async def _answered(
        self, asked: ChatRequest | CompletionRequest, record: RequestRecord, make_shape: MakeShape
    ) -> Response:
        events = _recorded(self._started(asked), record)
        first = await anext(events)  # what fails until the request is accepted is still an HTTP status
        accepted = first if isinstance(first, Accepted) else Accepted()
        name = asked.model if self._any_model else None
        shape = make_shape(accepted.model or name or self._engine.info.id)
        if asked.streamed:
            sent = _streamed(events, shape, accepted.prompt_tokens)
            if self._dialect.json_lines:
                return json_lines(sent, self._dialect, self._keep_alive_s, shape)
            return event_stream(sent, self._dialect, self._keep_alive_s, shape, lambda: record.progress)
        answers = await _collected(events)
        # In a thread, for the sake of others: log probabilities can be half a million objects.
        return await asyncio.to_thread(lambda: json_response(shape.whole(answers)))

    def _started(self, asked: ChatRequest | CompletionRequest) -> Events:
        if isinstance(asked, ChatRequest):
            return self._engine.chat(asked)
        if isinstance(asked, CompletionRequest):
            return self._engine.complete(asked)
        assert_never(asked)

    async def _found(self, name: str | None) -> ModelInfo | None:
        """The model that a request for `name` means; without a name the one that is served."""
        return self._engine.info if name is None else await self._engine.find(name)

    async def _model(self, asked: ChatRequest | CompletionRequest, record: RequestRecord) -> ModelInfo:
        """The model that answers `asked`. Notes it for the log. Raises: ModelNotFound, ModelFileError."""
        found = await self._found(asked.model)
        info = found or self._engine.info
        self._note(record, asked, info)
        if found is None and not self._any_model:
            names = known_names(await self._engine.models())
            raise ModelNotFound(
                f"the model {asked.model!r} does not exist; this server has {names} (see --alias)", param="model"
            )
        if found is None:
            log_once(f"requests for the model {(asked.model or '')[:64]!r} are answered by {info.id}")
        return info

    def _note(self, record: RequestRecord, asked: ChatRequest | CompletionRequest, info: ModelInfo) -> None:
        """For the log line. A model's name that the client chose is percent-encoded: it cannot forge a line."""
        foreign = Capability.ANY_MODEL in info.capabilities
        record.notes["model"] = _in_log((asked.model or "-") if foreign else info.id)
        if isinstance(asked, ChatRequest):
            record.notes |= {"messages": len(asked.messages), "tools": len(asked.tools)}
        else:
            record.notes["prompts"] = len(asked.prompts)
        record.notes["stream"] = "yes" if asked.streamed else "no"


def _in_log(name: str) -> str:
    return quote(name, safe="/:.@")[:100]


async def unless_disconnected(request: Request, answer: Coroutine[Any, Any, Response]) -> Response:
    """The response that `answer` gives. It is cancelled when the client goes away before that."""
    answering = asyncio.create_task(answer)
    watching = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({answering, watching}, return_when=asyncio.FIRST_COMPLETED)
        return answering.result() if answering.done() else Response(status_code=CLIENT_CLOSED)
    finally:
        for task in (answering, watching):
            task.cancel()
        await asyncio.gather(answering, watching, return_exceptions=True)


def json_response(value: Json) -> Response:
    """A JSON response, not with Python's own encoder: log probabilities can be tens of megabytes."""
    return Response(pydantic_core.to_json(value), media_type="application/json")


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _recorded(events: Events, record: RequestRecord) -> Events:
    async with aclosing(events):
        try:
            async for event in events:
                record.note(event)
                yield event
        except ChatGLMServerError as error:
            record.refuse(error)
            raise


async def _streamed(events: Events, shape: AnswerShape, prompt_tokens: int) -> AsyncGenerator[StreamEvent, None]:
    usage = Usage()
    async with aclosing(events):
        for sent in shape.begin(prompt_tokens):
            yield sent
        async for event in events:
            if isinstance(event, Accepted):
                continue
            for sent in shape.add(event):
                yield sent
            if isinstance(event, Finish):
                usage += event.usage
    for sent in shape.end(usage):
        yield sent


async def _collected(events: Events) -> list[Answer]:
    """The answers by their numbers."""
    answers: defaultdict[int, Answer] = defaultdict(Answer)
    async with aclosing(events):
        async for event in events:
            if not isinstance(event, Accepted):
                answers[event.choice].add(event)
    return [answers[choice] for choice in sorted(answers)]


def _in_words_of_the_client(error: InvalidRequest, field_of: Callable[[str], str]) -> InvalidRequest:
    """`error` with the client's field in place of the noun. Mutates it. The message names the field too."""
    if error.param is not None:
        error.param = field_of(error.param)
        named = re.search(rf"(?<!\w){re.escape(error.param)}(?!\w)", error.message)  # "n" is in every message
        if not named and not isinstance(error, ContextLengthExceeded):
            error.message = f"{error.param}: {error.message}"
    return error
