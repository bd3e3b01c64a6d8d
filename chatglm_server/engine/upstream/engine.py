"""The engine in front of another OpenAI-compatible server: requests go on to it, GLM text that comes back is parsed."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import httpx

from ...chat import Accepted, ChatRequest, CompletionRequest, Event, Finish, Timings, Tool
from ...errors import ChatGLMServerError, InvalidRequest, ModelFileError, NotSupported, UpstreamFailure
from ...formats.base import ChatFormat, OutputParser
from ...formats.registry import FORMATS, format_of_model
from ...formats.scanning.markers import SpecialTokenScanner
from ...formats.thinking import ThinkingParser
from ..base import ModelInfo, Token
from ..output import Output, PlainText
from .answer import TextReader, UpstreamAnswer
from .body import Json, native_body, text_body, with_usage
from .client import LOOPBACK, UpstreamClient

_log = logging.getLogger("chatglm_server")
_MAX_MODELS = 1000
_CONTEXT_FIELDS = ("context_length", "max_model_len", "max_context_length", "context_window")
"""How vLLM, LM Studio and others call it."""


@dataclass(frozen=True, slots=True)
class UpstreamOptions:
    """How to read the other server's text, and how to tell it of tools."""

    chat_format: str = "auto"
    """Name in the registry, or "auto": by the model's name."""
    tools: Literal["native", "text"] = "native"
    think_filter: bool = False
    """Whether ``<think>…</think>`` is taken out of the text of models that are not GLM, too."""
    open_think: bool = False
    """Whether text begins inside a thought, as the prompt ended in ``<think>``."""


class UpstreamEngine:
    """As many requests at a time as come; the other server has a queue of its own."""

    def __init__(self, info: ModelInfo, client: UpstreamClient, options: UpstreamOptions) -> None:
        self.info = info
        self._client = client
        self._options = options
        self._running = 0

    async def load(self) -> None:
        """Say whether the backend is there. It may come later, so this does not fail."""
        try:
            models = await self.models()
        except ChatGLMServerError as error:
            _log.warning("%s; requests will be tried all the same", error.message)
        else:
            _log.info("the backend at %s has %d models", self._client.address, len(models))

    def stop(self) -> None:
        self._client.stop()

    async def close(self) -> None:
        await self._client.close()

    async def tokenize(self, text: str) -> list[Token]:
        raise NotSupported("the tokenizer is the backend's, which OpenAI's API does not show")

    def status(self) -> dict[str, Any]:
        return {
            "ready": True,
            "upstream": self._client.address,
            "queue": {"running": self._running, "waiting": 0, "max": 0},
        }

    async def models(self) -> Sequence[ModelInfo]:
        """The backend's models, each with the format its text would be read in. Raises: the client's errors."""
        listed = await self._client.get("/models")
        entries = listed.get("data") if isinstance(listed, dict) else None
        if not isinstance(entries, list):
            raise UpstreamFailure(f"the backend at {self._client.address} has no list of models")
        return [
            self._model(entry)
            for entry in entries[:_MAX_MODELS]
            if isinstance(entry, dict) and isinstance(entry.get("id"), str)
        ]

    def _model(self, entry: Json) -> ModelInfo:
        meta = entry.get("meta")
        lengths = [entry.get(name) for name in _CONTEXT_FIELDS]
        lengths.append(meta.get("n_ctx_train") if isinstance(meta, dict) else None)  # llama-server
        created = entry.get("created")
        return replace(
            self.info,
            id=entry["id"],
            chat_format=self._format_name(entry["id"]) or "none",
            context_length=next((length for length in lengths if isinstance(length, int)), 0),
            created=created if isinstance(created, int) else 0,
            note="",
        )

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        model = str(request.body.get("model") or "")
        if self._options.tools == "text":
            body = text_body(request, partial(self._format_to_write, model))
        else:
            body = native_body(request)
        body = await self._with_model(body)
        tools = () if request.tool_choice.mode == "none" else request.tools
        answer = UpstreamAnswer(partial(self._reader, model, tools, request.parallel_tool_calls is not False))
        async with aclosing(self._answered("/chat/completions", body, answer)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        """The prompts are sent one by one: the backend would mix its answers to several."""
        body = await self._with_model(dict(request.body))
        for number, prompt in enumerate(request.prompts):
            answer = UpstreamAnswer(lambda model, thought: TextReader(Output(PlainText()), SpecialTokenScanner(())))
            async with aclosing(self._answered("/completions", {**body, "prompt": prompt}, answer)) as events:
                async for event in events:
                    if not isinstance(event, Accepted):
                        yield replace(event, choice=number)
                    elif number == 0:
                        yield event

    async def _answered(self, path: str, body: Json, answer: UpstreamAnswer) -> AsyncGenerator[Event, None]:
        """The events of one request to the backend."""
        started = time.perf_counter()
        first = None
        with self._counted():
            async with self._client.stream(path, with_usage(body)) as chunks:
                yield Accepted()
                async for chunk in chunks:
                    for event in answer.feed(chunk):
                        first = first or time.perf_counter()
                        yield event
            if not answer.finished:
                raise UpstreamFailure(f"the backend at {self._client.address} broke off before its answer was whole")
            events, reason = answer.finish()
            for event in events:
                yield event
            timings = Timings(first - started, time.perf_counter() - first) if first else None
            yield Finish(reason, answer.usage, timings)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _with_model(self, body: Json) -> Json:
        """A request without a model means the backend's first, where it says what it has."""
        if body.get("model"):
            return body
        try:
            models = await self.models()
        except ChatGLMServerError:
            return body
        return {**body, "model": models[0].id} if models else body

    def _format_name(self, *models: str) -> str | None:
        """The format of the first of these names that tells one."""
        if self._options.chat_format != "auto":
            return self._options.chat_format
        return next((name for name in map(format_of_model, models) if name), None)

    def _format_to_write(self, model: str) -> ChatFormat:
        name = self._format_name(model)
        if name is None:
            raise InvalidRequest(
                f"{model!r} is no name of a GLM model, so there is no telling how its tools are written as text; start "
                "the server with --chat-format or with --upstream-tools native",
                param="model",
            )
        return FORMATS[name]

    def _reader(
        self, asked: str, tools: Sequence[Tool], parallel_tool_calls: bool, served: str, thought: bool
    ) -> TextReader:
        """For the text of the model that the client `asked` for and the backend calls `served`.

        `thought` says that thoughts came by themselves, so that the text does not begin in one. Special tokens are
        looked for only where there are tools: elsewhere they can only be what the text is about.
        """
        name = self._format_name(asked, served)
        open_think = self._options.open_think and not thought
        specials: Sequence[str] = ()
        parser: OutputParser = PlainText()
        if name is not None:
            parser = FORMATS[name].parser(tools, prompt_ends_in_think=open_think)
            specials = FORMATS[name].special_tokens if tools else ()
        elif self._options.think_filter:
            parser = ThinkingParser(parser, inside=open_think)
        return TextReader(Output(parser, parallel_tool_calls=parallel_tool_calls), SpecialTokenScanner(specials))


def load_upstream(
    address: str, key: str | None, timeout_s: float, options: UpstreamOptions, note: str
) -> UpstreamEngine:
    """The engine for the server at `address`, as `upstream_address` gives it."""
    info = ModelInfo(
        id=address,
        aliases=(),
        context_length=0,
        chat_format="format by the model's name" if options.chat_format == "auto" else options.chat_format,
        supports_tools=True,
        created=0,
        note=note,
        forwards="as_text" if options.tools == "text" else "as_sent",
    )
    return UpstreamEngine(info, UpstreamClient(address, key, timeout_s), options)


def upstream_address(text: str) -> str:
    """`text` without a slash at its end, and with ``/v1`` where it has no path.

    Raises: ModelFileError. A key has no place in an address, which is shown to clients.
    """
    try:
        url = httpx.URL(text)
        name_is_possible = "%" not in url.host and bool(url.host.encode("idna"))
    except (httpx.InvalidURL, UnicodeError):
        name_is_possible = False
    if not name_is_possible or url.scheme not in ("http", "https") or not 1 <= (url.port or 80) <= 65535:
        raise ModelFileError("an address is http:// or https://, a host, perhaps a port, and a path such as /v1")
    if url.userinfo or url.query or url.fragment:
        raise ModelFileError("the address must not hold a user, a query or a fragment; a key is --upstream-api-key")
    path = url.path.rstrip("/") or "/v1"
    return str(url.copy_with(path=path))


def is_address_of(address: str, host: str, port: int) -> bool:
    """Whether a server that listens on `host` and `port` would be reached at `address`, as far as names tell."""
    url = httpx.URL(address)
    return (url.port or {"http": 80, "https": 443}[url.scheme]) == port and url.host in {host, *LOOPBACK}
