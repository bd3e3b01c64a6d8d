"""The engine that runs a model itself: renders, queues, generates token by token, and parses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable
from functools import partial
from typing import Any

from ..chat import (
    Accepted,
    ChatRequest,
    CompletionRequest,
    Event,
    Finish,
    FinishReason,
    ParserEvent,
    SamplingParams,
    TextDelta,
    Tool,
    Usage,
)
from ..errors import ContextLengthExceeded, InvalidRequest, NotReady
from ..formats.base import CannotRender, ChatFormat, Piece, Prompt, Special
from .base import Model, ModelInfo
from .output import Output
from .scheduler import Scheduler
from .tokenizer import Detokenizer, Tokenizer, encode_prompt

Openings = dict[tuple[str, ...], list[int]]
"""Text parts that begin a tool call → their tokens."""


class LocalEngine:
    """One model, one sequence at a time; the KV cache stays from request to request."""

    def __init__(
        self,
        info: ModelInfo,
        chat_format: ChatFormat,
        tokenizer: Tokenizer,
        eos_token: int,
        load_model: Callable[[], Model],
        max_queue: int,
    ) -> None:
        self.info = info
        self._format = chat_format
        self._tokenizer = tokenizer
        self._stop_tokens = {eos_token, *(tokenizer.specials[name] for name in chat_format.stop_tokens)}
        self._load_model = load_model
        self._model: Model | None = None
        self._scheduler = Scheduler(max_queue)

    async def load(self) -> None:
        self._model = await self._scheduler.run(self._load_model)

    def stop(self) -> None:
        self._scheduler.stop()

    def status(self) -> dict[str, Any]:
        return {
            "ready": self._model is not None,
            "queue": {
                "running": self._scheduler.running,
                "waiting": self._scheduler.waiting,
                "max": self._scheduler.max_queue,
            },
        }

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        model = self._ready_model()
        choice = request.tool_choice
        tools = () if choice.mode == "none" else request.tools
        if tools and not self._format.supports_tools:
            raise InvalidRequest(
                f"{self.info.id} ({self._format.name}) was not trained to call tools; send the request without tools",
                param="tools",
            )
        try:
            prompt = self._format.render(request.messages, tools)
        except CannotRender as error:
            raise InvalidRequest(str(error), param=error.param) from None
        ids = await asyncio.to_thread(encode_prompt, self._tokenizer, prompt)
        openings = self._openings(tool for tool in tools if choice.mode == "required" or tool.name == choice.name)
        self._check_length(len(ids) + max(map(len, openings.values()), default=0), param="messages")
        output = Output(
            self._format.parser(tools), request.sampling.stop, parallel_tool_calls=request.parallel_tool_calls
        )
        async for event in self._answer(model, ids, openings, output, request.sampling):
            yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        model = self._ready_model()
        if isinstance(request.prompt, str):
            prompt = self._format.bare_prompt(request.prompt)
            ids = await asyncio.to_thread(encode_prompt, self._tokenizer, prompt)
        else:
            ids = list(request.prompt)
            if not ids or not all(0 <= token < model.vocab_size for token in ids):
                raise InvalidRequest(f"token ids must be from 0 to {model.vocab_size - 1}", param="prompt")
        self._check_length(len(ids), param="prompt")
        output = Output(_PlainText(), request.sampling.stop)
        async for event in self._answer(model, ids, {}, output, request.sampling):
            yield event

    def _ready_model(self) -> Model:
        if self._model is None:
            raise NotReady("the model is still being loaded; try again in a few seconds")
        return self._model

    def _check_length(self, tokens: int, param: str) -> None:
        context = self.info.context_length
        if tokens >= context:
            raise ContextLengthExceeded(
                f"the prompt has {tokens} tokens, but this model's context holds {context}, answer included; "
                "shorten the conversation or the tools",
                param=param,
            )

    async def _answer(
        self, model: Model, ids: list[int], openings: Openings, output: Output, sampling: SamplingParams
    ) -> AsyncGenerator[Event, None]:
        run = self._scheduler.run
        with self._scheduler.admission():
            yield Accepted()
            async with self._scheduler.turn():
                cached = await run(partial(model.start, ids))
                budget = min(sampling.max_tokens or self.info.context_length, self.info.context_length - len(ids))
                generated, ended = 0, False
                if openings:
                    opening, generated = await self._force_call(model, openings)
                    for event in output.feed(opening):
                        yield event
                while not await run(model.prefill):
                    pass
                detokenizer = Detokenizer(self._tokenizer)
                while generated < budget and not (ended or output.complete):
                    token = await run(partial(model.step, sampling))
                    generated += 1
                    ended = token in self._stop_tokens
                    for piece in () if ended else detokenizer.feed(token):
                        for event in output.feed(piece):
                            yield event
            for piece in detokenizer.flush():
                for event in output.feed(piece):
                    yield event
            events, reason = output.finish(cut=not ended)
            for event in events:
                yield event
            yield Finish(reason, Usage(len(ids), generated, cached))

    def _openings(self, tools: Iterable[Tool]) -> Openings:
        """What a call of each of `tools` begins with."""
        texts = (self._format.call_opening(tool.name) for tool in tools)
        return {text: encode_prompt(self._tokenizer, Prompt(text)) for text in texts}

    async def _force_call(self, model: Model, openings: Openings) -> tuple[str, int]:
        """Begin the answer with one of `openings`; where they part, the model chooses.

        Returns the opening's text and its number of tokens.
        """
        length = 0
        while len(openings) > 1:
            allowed = list(dict.fromkeys(tokens[length] for tokens in openings.values()))
            if len(allowed) > 1:
                while not await self._scheduler.run(model.prefill):
                    pass
                token = await self._scheduler.run(partial(model.choose, allowed))
            else:
                token = allowed[0]
                await self._scheduler.run(partial(model.append, [token]))
            openings = {text: tokens for text, tokens in openings.items() if tokens[length] == token}
            length += 1
        ((text, tokens),) = openings.items()
        await self._scheduler.run(partial(model.append, tokens[length:]))
        return "".join(text), len(tokens)


class _PlainText:
    """The parser of a bare completion: special tokens are not shown, all else is text."""

    def feed(self, piece: Piece) -> list[ParserEvent]:
        return [] if isinstance(piece, Special) else [TextDelta(piece)]

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        return []
