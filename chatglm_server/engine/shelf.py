"""Several model files by name: loaded when they are asked for, and unloaded, the one used longest ago first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from ..chat import Accepted, ChatRequest, CompletionRequest, Event
from ..errors import NotReady
from ..queueing.admission import Admission
from ..queueing.status import Status
from .base import ModelInfo, Token
from .local import LocalEngine

_PAUSE_S = 0.05  # between looks at models that answer
_LATEST = ":latest"
"""The tag that Ollama's clients add to names."""


@dataclass(slots=True, eq=False)
class _Model:
    """A model whose file was read. `asked`: requests that it answers; it stays in memory as long."""

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
        list_models: Callable[[], Mapping[str, Path]],
        open_model: Callable[[str, Path], LocalEngine],
        most: int,
        room: int,
        max_queue: int,
    ) -> None:
        """`path` is the file of `first`. `open_model` checks a file of `list_models`, and raises ModelFileError."""
        self._first = _Model(first)
        self._models = {path.resolve(): self._first}
        self._list_models, self._open_model = list_models, open_model
        self._most, self._room = most, room
        self._admission = Admission(most * first.info.choices, max_queue)
        self._opening, self._switching = asyncio.Lock(), asyncio.Lock()
        self._clock = 0
        self._ready = False
        self._names: dict[str, Path] = {}
        self._look()

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
        """The first model, and all on the shelf. Of one that nobody has asked for only the name is known."""
        await asyncio.to_thread(self._look)
        infos = [self._first.engine.info]
        for name, path in self._names.items():
            model = self._models.get(path)
            if model is None:
                infos.append(ModelInfo(name, (), 0, "", supports_tools=True, created=_modified(path)))
            elif model is not self._first:
                infos.append(model.engine.info)
        return infos

    async def status(self) -> Status:
        """The first model's, with the queue of all."""
        status = {model.engine.info.id: await model.engine.status() for model in self._models.values()}
        running = sum(one.queue["running"] for one in status.values())
        return replace(
            status[self._first.engine.info.id],
            queue={
                "running": running,
                "waiting": max(0, self._admission.admitted - running),
                "max": self._admission.max_queue,
            },
            tokens={
                "read": sum(one.tokens["read"] for one in status.values() if one.tokens),
                "generated": sum(one.tokens["generated"] for one in status.values() if one.tokens),
            },
            models=status,
        )

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request.model, lambda engine: engine.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event, None]:
        return self._answer(request.model, lambda engine: engine.complete(request))

    async def count_tokens(self, request: ChatRequest) -> int:
        return await (await self._opened(request.model)).engine.count_tokens(request)

    async def tokenize(self, text: str) -> list[Token]:
        return await self._first.engine.tokenize(text)

    async def _answer(
        self, name: str | None, ask: Callable[[LocalEngine], AsyncGenerator[Event, None]]
    ) -> AsyncGenerator[Event, None]:
        """The events of an engine's answer. While the model has to be loaded, the client waits behind `Accepted`."""
        if not self._ready:
            raise NotReady("the model is still being loaded; try again in a few seconds")
        with self._admission.place():
            model = await self._opened(name)
            answers_as = None if model is self._first else model.engine.info.id
            waits = self._switching.locked() or not model.engine.loaded
            if waits:
                yield Accepted(answers_as)
            async with self._switching:
                await self._bring_in(model)
                model.asked += 1
                self._clock += 1
                model.last_used = self._clock
            try:
                async with aclosing(ask(model.engine)) as events:
                    async for event in events:
                        if not isinstance(event, Accepted):
                            yield event
                        elif not waits:
                            yield replace(event, model=answers_as)
            finally:
                model.asked -= 1

    async def _opened(self, name: str | None) -> _Model:
        """The model that `name` means, its file checked. Raises: ModelFileError, ShuttingDown."""
        info = self._first.engine.info
        known = name if name in self._names else (name or "").removesuffix(_LATEST)
        if known in (info.id, *info.aliases) or known not in self._names:
            return self._first
        path = self._names[known]
        async with self._opening:
            if path not in self._models:
                engine = await asyncio.to_thread(self._open_model, known, path)
                self._admission.check_open()
                self._models[path] = _Model(engine)
            return self._models[path]

    async def _bring_in(self, model: _Model) -> None:
        """Load a model, once there is room for it. Raises: ModelFileError, ShuttingDown."""
        if model.engine.loaded or model.asked:
            return
        while True:
            self._admission.check_open()
            others = [other for other in self._models.values() if other is not model and other.engine.loaded]
            needed = model.engine.most_bytes + sum(other.engine.most_bytes for other in others)
            if not others or (len(others) < self._most and needed <= self._room):
                break
            idle = [other for other in others if not other.asked]
            if not idle or not await min(idle, key=lambda other: other.last_used).engine.unload():
                await asyncio.sleep(_PAUSE_S)
        await model.engine.load()

    def _look(self) -> None:
        """Find the models that are here. Mutates the shelf."""
        self._names = {name: path.resolve() for name, path in self._list_models().items()}
        known = self._first.engine.info
        aliases = dict.fromkeys([*known.aliases, *self._names])
        self.info = replace(known, aliases=tuple(aliases), supports_tools=True, thinks=True)
        """The first model's, by the names of all: each request is checked again by its own engine."""


def _modified(path: Path) -> int:
    try:
        return int(path.stat().st_mtime)
    except OSError:  # it was deleted a moment ago
        return 0
