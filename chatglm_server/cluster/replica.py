"""A replica: an engine with its own model, in a process that Ray starts and ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing

from ray.actor import ActorHandle

from ..chat import ChatRequest, CompletionRequest, Event
from ..cli.log_lines import set_up_log
from ..engine.base import ModelInfo
from ..errors import ChatGLMServerError
from ..loader import load_engine
from ..queueing.status import Status
from ..service import Service
from ..settings import Settings
from .callers import Callers

Outcome = Event | ChatGLMServerError
"""Errors that clients hear of are values between processes: Ray would log those that are raised, with a traceback."""


class Replica:
    """An engine that the front calls. Ray starts it as a deployment, and sends it requests once it has loaded."""

    async def __init__(self, settings: Settings) -> None:  # type: ignore[misc]  # Ray awaits it
        """Loads the model. Raises: BadOption, ModelFileError."""
        self._running = AsyncExitStack()  # first: Ray awaits __del__ also if the rest fails
        set_up_log(settings.log_format)
        self._callers = Callers()
        self._engine = load_engine(settings)
        service = Service(self._engine)
        self._running.push_async_callback(service.close)
        await service.start()

    async def info(self) -> ModelInfo:
        """The model that is served."""
        return self._engine.info

    async def status(self) -> Status:
        """The state of this engine."""
        return await self._engine.status()

    async def check_health(self) -> None:
        """Ray calls it again and again, and replaces a replica that raises or does not answer."""
        if not (await self._engine.status()).ready:
            raise RuntimeError("the engine is not ready")

    async def answer(
        self, request: ChatRequest | CompletionRequest, front: ActorHandle
    ) -> AsyncGenerator[Outcome, None]:
        """The events of an answer; an error is the last of them. It is cancelled if `front` cancels it or ends."""
        events = self._engine.chat(request) if isinstance(request, ChatRequest) else self._engine.complete(request)
        with self._callers.calling(front):
            async with aclosing(events):
                try:
                    async for event in events:
                        yield event
                except ChatGLMServerError as error:
                    yield error

    async def ask(self, method: str, *words: object) -> object:
        """Calls a method of the engine. Returns its value, or its error."""
        try:
            return await getattr(self._engine, method)(*words)
        except ChatGLMServerError as error:
            return error

    async def __del__(self) -> None:
        """Ray awaits it once the last answer has ended."""
        await self._running.aclose()
