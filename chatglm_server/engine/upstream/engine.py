"""Passes requests on to other OpenAI-compatible servers, and parses the GLM text that comes back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial

from ...chat import Accepted, AnswerEvent, ChatRequest, CompletionRequest, Event, Timings
from ...errors import ChatGLMServerError, NotSupported, UpstreamFailure
from ...queueing.status import QueueStatus, Status
from ..base import ModelInfo, Token
from ..capabilities import Capability
from .address import is_openais
from .answer import UpstreamAnswer
from .body import Json, chat_body, completion_body, with_older_limit
from .client import UpstreamClient
from .log_text import in_a_line
from .model_list import difference, read_models
from .pool import BackendPool
from .pool_member import PoolMember
from .relay import relayed
from .text_formats import TextFormats, UpstreamOptions, plain_reader
from .text_tools import text_body

_log = logging.getLogger("chatglm_server")
MAX_CHOICES = 128
"""Limit for the answers to one request: each has a parser of its own."""


class UpstreamEngine:
    """Passes on every request at once: the backend has a queue of its own."""

    def __init__(self, info: ModelInfo, pool: BackendPool, options: UpstreamOptions) -> None:
        self.info = info
        self._pool = pool
        self._options = options
        self._formats = TextFormats(options)
        self._older_limit = not any(is_openais(member.address) for member in pool.members)
        self._running = 0

    async def load(self) -> None:
        """Logs which backends are there, and whether they have the same models.

        Does not fail, because backends may come later.
        """
        members = self._pool.members
        lists = await asyncio.gather(*map(self._listed, members))
        found = {member.address: names for member, names in zip(members, lists, strict=True) if names is not None}
        if line := difference(found):
            _log.warning("%s", in_a_line(line))

    async def _listed(self, member: PoolMember) -> list[str] | None:
        """Returns the names of a backend's models, and logs their number; None if it has no list."""
        try:
            models = self._read(member.address, await self._pool.get_from(member, "/models"))
        except ChatGLMServerError as error:
            if not member.left_out:
                _log.warning("%s; requests will be tried all the same", in_a_line(error.message))
            return None
        _log.info("the backend at %s is there; models: %d", member.address, len(models))
        return [model.id for model in models]

    def stop(self) -> None:
        self._pool.stop()

    async def close(self) -> None:
        await self._pool.close()

    async def count_tokens(self, request: ChatRequest) -> int:
        raise NotSupported("the prompt is the backend's to render, and OpenAI's API has no way to count its tokens")

    async def tokenize(self, text: str) -> list[Token]:
        raise NotSupported("the tokenizer is the backend's, and OpenAI's API gives no access to it")

    async def status(self) -> Status:
        queue: QueueStatus = {"running": self._running, "waiting": 0, "max": 0}
        backends = await asyncio.gather(*(member.status() for member in self._pool.members))
        problems = [backend["problem"] for backend in backends if "problem" in backend]
        problem = "; ".join(problems) if len(problems) == len(backends) else None
        return Status(True, queue, self.info.id, problem, backends=backends)

    async def models(self) -> Sequence[ModelInfo]:
        """Returns the backend's models, each with the format in which its text is read. Raises: the client's errors."""
        return self._read(self.info.id, await self._pool.get("/models"))

    def _read(self, address: str, listed: object) -> list[ModelInfo]:
        """Returns the models in a backend's answer. Raises: UpstreamFailure."""
        models = read_models(listed, self.info, self._formats.name)
        if models is None:
            raise UpstreamFailure(f"the backend at {address} has no list of models")
        return models

    async def find(self, name: str) -> ModelInfo:
        return self.info

    async def keep(self, name: str | None, seconds: float | None) -> None:
        """Does nothing: the backend loads its models."""

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        asked = request.model or ""
        if self._options.tools == "text":
            body = text_body(request, partial(self._formats.to_write, asked))
        else:
            body = chat_body(request)
        if self._older_limit:
            body = with_older_limit(body)
        body |= await self._model(request)
        parallel = request.parallel_tool_calls is not False
        answer = UpstreamAnswer(
            partial(self._formats.reader, asked, request.callable_tools, parallel),
            request.choices or 1,
            parallel_tool_calls=parallel,
            reports_tokens=request.sampling.top_logprobs is not None,
        )
        async with aclosing(self._answer("/chat/completions", body, answer)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """Sends the prompts one by one: a backend mixes its answers to several."""
        model = await self._model(request)
        choices = request.choices or 1
        for number, prompt in enumerate(request.prompts):
            answer = UpstreamAnswer(
                lambda *_: plain_reader(), choices, reports_tokens=request.sampling.top_logprobs is not None
            )
            body = completion_body(request, prompt) | model
            async with aclosing(self._answer("/completions", body, answer)) as events:
                async for event in events:
                    if not isinstance(event, Accepted):
                        yield replace(event, choice=number * choices + event.choice)
                    elif number == 0:
                        yield event

    async def _answer(
        self, path: str, body: Json, answer: UpstreamAnswer
    ) -> AsyncGenerator[Accepted | AnswerEvent, None]:
        """Yields the events of one request to the backend."""
        started = time.perf_counter()
        first = last = None
        with self._counted():
            async with relayed(self._pool, path, body) as chunks:
                yield Accepted(body.get("model"))
                async for chunk in chunks:
                    if events := answer.feed(chunk):
                        last = time.perf_counter()
                        first = first or last
                    for event in events:
                        yield event
            for event in answer.finish(Timings(first - started, last - first) if first and last else None):
                yield event

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _model(self, request: ChatRequest | CompletionRequest) -> Json:
        """Returns the body's `model`: if the client named none, the backend's first, if it has a list."""
        if request.model:
            return {"model": request.model}
        try:
            models = await self.models()
        except ChatGLMServerError:
            return {}
        return {"model": models[0].id} if models else {}


def load_upstream(
    addresses: Sequence[str], key: str | None, timeout_s: float, options: UpstreamOptions, note: str
) -> UpstreamEngine:
    """Returns the engine for the servers at `addresses`, each as `upstream_address` gives it."""
    info = ModelInfo(
        id=", ".join(addresses),
        aliases=(),
        context_length=0,
        chat_format="format by the model's name" if options.chat_format == "auto" else options.chat_format,
        supports_tools=True,
        created=0,
        note=note,
        capabilities=frozenset(Capability) - ({Capability.FOREIGN_CONVERSATION} if options.tools == "text" else set()),
        choices=MAX_CHOICES,
    )
    pool = BackendPool([PoolMember(UpstreamClient(address, key, timeout_s)) for address in addresses])
    return UpstreamEngine(info, pool, options)
