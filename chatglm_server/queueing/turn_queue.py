"""Turns at what does one thing at a time: a bounded first-in-first-out queue in front of one worker thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TypeVar

from .admission import Admission
from .status import QueueStatus

T = TypeVar("T")

_SLICE_S = 0.1  # `stop` may be called by a signal handler, so it sets no event: whoever waits has to look


class TurnQueue:
    """Requests take turns, and whatever is not to happen twice at a time runs on its one thread."""

    def __init__(self, max_queue: int) -> None:
        """`max_queue` requests may wait while one runs."""
        self._door = Admission(1, max_queue)
        self._turn = asyncio.Lock()  # asyncio's locks are fair: first come, first served
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._door.stopping

    def status(self) -> QueueStatus:
        """The queue as ``/health`` shows it: how many have their turn (one or none), and how many wait for it."""
        running = int(self._turn.locked())
        return {"running": running, "waiting": self._door.admitted - running, "max": self._door.max_queue}

    def admission(self) -> AbstractContextManager[None]:
        """A place in the queue, for as long as the context lasts.

        Raises: QueueFull, ShuttingDown.
        """
        return self._door.place()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for all who came before; then it is the caller's turn until the context ends.

        Raises: ShuttingDown.
        """
        async with self._turn:
            self._door.check_open()
            yield

    async def run(self, function: Callable[[], T]) -> T:
        """`function` on the worker thread. If the caller is cancelled it still ends before any later call begins.

        Raises: ShuttingDown, and whatever `function` raises.
        """
        self._door.check_open()
        result = await asyncio.get_running_loop().run_in_executor(self._worker, function)
        self._door.check_open()
        return result

    async def wait(self, seconds: float) -> None:
        """Let time pass, none for 0, and let others do something meanwhile.

        Raises: ShuttingDown.
        """
        end = time.monotonic() + seconds
        while True:
            await asyncio.sleep(min(max(end - time.monotonic(), 0), _SLICE_S))
            self._door.check_open()
            if time.monotonic() >= end:
                return

    def stop(self) -> None:
        """All who wait or run get ShuttingDown."""
        self._door.stopping = True
