"""Ends the answers for a front that is gone: Ray goes on with the calls of a process that has died."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from ray.actor import ActorHandle
from ray.exceptions import ActorDiedError, ActorUnavailableError

_LOOK_S = 2.0
"""Seconds between two looks at a front."""


class Callers:
    """The fronts that a replica is answering."""

    def __init__(self) -> None:
        self._answers: dict[ActorHandle, set[asyncio.Task[object]]] = {}
        self._watches: set[asyncio.Task[None]] = set()

    @contextmanager
    def calling(self, front: ActorHandle) -> Iterator[None]:
        """The current task writes an answer for `front`: it is cancelled if that ends. Mutates this."""
        task = cast("asyncio.Task[object]", asyncio.current_task())
        answers = self._answers.get(front)
        if answers is None:
            answers = self._answers[front] = set()
            watch = asyncio.create_task(self._watch(front, answers))
            self._watches.add(watch)
            watch.add_done_callback(self._watches.discard)
        answers.add(task)
        try:
            yield
        finally:
            answers.discard(task)

    async def _watch(self, front: ActorHandle, answers: set[asyncio.Task[object]]) -> None:
        """Looks whether `front` is there until it has ended or no answer is left."""
        try:
            await asyncio.sleep(_LOOK_S)
            while answers:
                try:
                    await front.__ray_ready__.remote()
                except ActorUnavailableError:  # it may be back soon
                    pass
                except ActorDiedError:
                    for task in answers:
                        task.cancel()
                    break
                await asyncio.sleep(_LOOK_S)
        finally:
            del self._answers[front]
