"""Several model files by name: loaded when they are asked for, and unloaded, the one used longest ago first."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..chat import Accepted, ChatRequest, CompletionRequest, Event
from ..errors import NotReady, WaitTooLong
from ..queueing.admission import Admission
from ..queueing.status import Status
from .base import ModelInfo, Token
from .known_models import KnownModel, KnownModels
from .local import LocalEngine

_PAUSE_S = 0.05  # between looks at models that answer


@dataclass(slots=True, eq=False)
class _Model:
    """A model that was asked for. `asked`: requests that it answers; it stays in memory as long."""

    engine: LocalEngine
    asked: int = 0
    last_used: int = 0


class ShelfEngine:
    """An engine for each model that is on this machine, by its name there. Names of none mean the first model.

    At most `most` are in memory, and no more than `room` bytes hold with all their keys and values. A request for
    another waits until one of them has nothing to answer; those that come later wait behind it.
    """

    def __init__(
        self,
        first: LocalEngine,
        path: Path,
        known: KnownModels,
        open_model: Callable[[str, Path], LocalEngine],
        most: int,
        room: int,
        max_queue: int,
    ) -> None:
        """`path` is the file of `first`. `open_model` makes the engine of a known model, and raises ModelFileError."""
        self.info = first.info
        self._first = _Model(first)
        self._first_path = path.resolve()
        self._models = {self._first_path: self._first}
        self._known, self._open_model = known, open_model
        self._most, self._room = most, room
        self._admission = Admission(most * first.info.choices, max_queue)
        self._opening, self._switching = asyncio.Lock(), asyncio.Lock()
        self._at_the_switch = 0
        self._clock = 0
        self._ready = False

    async def load(self) -> None:
        await self._first.engine.load()
        self._ready = True

    def stop(self) -> None:
        self._admission.stopping = True
        for model in self._models.values():
            model.engine.stop()

    async def close(self) -> None:
        await asyncio.gather(*(model.engine.close() for model in self._models.values()))

    async def models(self) -> list[ModelInfo]:
        """The first model, with its names on this machine too, and the others that this server can run."""
        known = await self._known.models()
        own = next((model for model in known if model.path == self._first_path), None)
        return [
            self.info if own is None else self._first_info(own),
            *(model.info for model in known if model is not own),
        ]

    async def find(self, name: str) -> ModelInfo | None:
        if self.info.is_called(name):
            return self.info
        known = await self._known.find(name)
        if known is None:
            return None
        return self._first_info(known) if known.path == self._first_path else known.info

    async def keep(self, name: str | None, seconds: float | None) -> None:
        with self._admission.place():
            model = await self._opened(name)
            if seconds == 0 and not model.engine.loaded:
                return
            async with self._in_use(model):
                await model.engine.keep(name, seconds)

    async def status(self) -> Status:
        """The first model's, with the queue of all."""
        status = {model.engine.info.id: await model.engine.status() for model in self._models.values()}
        return replace(
            status[self.info.id],
            queue={
                "running": sum(one.queue["running"] for one in status.values()),
                "waiting": sum(one.queue["waiting"] for one in status.values()) + self._at_the_switch,
                "max": self._admission.max_queue,
            },
            tokens={
                "read": sum(one.tokens["read"] for one in status.values() if one.tokens),
                "generated": sum(one.tokens["generated"] for one in status.values() if one.tokens),
            },
            models=status,
        )

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request, lambda engine: engine.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request, lambda engine: engine.complete(request))

    async def count_tokens(self, request: ChatRequest) -> int:
        return await (await self._opened(request.model)).engine.count_tokens(request)

    async def tokenize(self, text: str) -> list[Token]:
        return await self._first.engine.tokenize(text)

    def _first_info(self, own: KnownModel) -> ModelInfo:
        return replace(self.info, aliases=tuple(dict.fromkeys((*self.info.aliases, own.info.id, *own.info.aliases))))

    async def _answer(
        self, request: ChatRequest | CompletionRequest, ask: Callable[[LocalEngine], AsyncGenerator[Event, None]]
    ) -> AsyncGenerator[Event, None]:
        """The events of an engine's answer. While others make way for it, the client waits behind `Accepted`."""
        with self._admission.place():
            model = await self._opened(request.model)
            answers_as = None if model is self._first else model.engine.info.id
            waits = self._switching.locked() or not model.engine.ready or bool(self._in_the_way_of(model))
            if waits:
                self._check_wait(model, request.max_wait_s)
                yield Accepted(answers_as)
            async with self._in_use(model), aclosing(ask(model.engine)) as events:
                async for event in events:
                    if not isinstance(event, Accepted):
                        yield event
                    elif not waits:
                        yield replace(event, model=answers_as)

    async def _opened(self, name: str | None) -> _Model:
        """The model that `name` means, its file checked. Raises: NotReady, ModelFileError, ShuttingDown."""
        if not self._ready:
            raise NotReady("the model is still being loaded; try again in a few seconds")
        known = None if name is None or self.info.is_called(name) else await self._known.find(name)
        if known is None or known.path == self._first_path:
            return self._first
        async with self._opening:
            if known.path not in self._models:
                engine = await asyncio.to_thread(self._open_model, known.info.id, known.path)
                self._admission.check_open()
                self._models[known.path] = _Model(engine)
            return self._models[known.path]

    @asynccontextmanager
    async def _in_use(self, model: _Model) -> AsyncIterator[None]:
        """There is room for a model as long as the context lasts. Raises: ModelFileError, ShuttingDown."""
        self._at_the_switch += 1
        try:
            async with self._switching:
                await self._make_room(model)
                if not model.engine.ready:
                    await model.engine.load()
                model.asked += 1
                self._clock += 1
                model.last_used = self._clock
        finally:
            self._at_the_switch -= 1
        try:
            yield
        finally:
            model.asked -= 1

    def _check_wait(self, model: _Model, limit_s: float | None) -> None:
        """Raises: WaitTooLong, if a model is not in memory in `limit_s`: until others have made way, and it is loaded.

        One that was never loaded takes as long for each of its bytes as the first one did.
        """
        if limit_s is None or model.engine.loaded:
            return
        busy = [other.engine.all_done_s for other in self._in_the_way_of(model) if other.asked]
        seconds = max(busy, default=0.0) + (model.engine.load_s or self._first.engine.load_s * self._size_of(model))
        if seconds > limit_s:
            raise WaitTooLong(
                f"{model.engine.info.id} would be in memory in about {math.ceil(seconds)} s, and the request waits "
                f"{limit_s:g} s; wait longer, or name a model that is in memory"
            )

    def _size_of(self, model: _Model) -> float:
        """The size of a model's file, beside the first one's."""
        own, first = model.engine.info.facts, self.info.facts
        return own.size / first.size if own is not None and first is not None else 1.0

    def _in_the_way_of(self, model: _Model) -> list[_Model]:
        """The others in memory, the one used longest ago first, if the model has no room beside them.

        A model that is being loaded counts, also if the request for it has gone.
        """
        if model.engine.takes_memory or model.asked:
            return []
        held = [other for other in self._models.values() if other.engine.takes_memory or other.asked]
        others = [other for other in held if other is not model]
        needed = model.engine.most_bytes + sum(other.engine.most_bytes for other in others)
        if len(others) < self._most and needed <= self._room:
            return []
        return sorted(others, key=lambda other: other.last_used)

    async def _make_room(self, model: _Model) -> None:
        """Unload others until the model has room. Raises: ShuttingDown."""
        while others := self._in_the_way_of(model):
            self._admission.check_open()
            idle = next((other for other in others if not other.asked), None)
            if idle is None or not await idle.engine.unload():
                await asyncio.sleep(_PAUSE_S)
