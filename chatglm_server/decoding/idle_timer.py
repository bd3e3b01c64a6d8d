"""Calls a function once nothing has happened for some time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable


class IdleTimer:
    """Runs on the event loop. `restart` begins the time anew, `cancel` ends it."""

    def __init__(self, seconds: float, action: Callable[[], object]) -> None:
        self.seconds = seconds
        """How long, from the next `restart` on. Infinite: `action` is never called."""
        self._action = action
        self._handle: asyncio.TimerHandle | None = None
        self._due = 0.0  # by the loop's clock; uvloop's handles do not say once they have run

    @property
    def left_s(self) -> float:
        """Seconds until `action` is called; while the time does not run, all of them."""
        if self._handle is None:
            return self.seconds
        return max(0.0, self._due - asyncio.get_running_loop().time())

    def restart(self) -> None:
        """Mutates the timer."""
        self.cancel()
        if math.isfinite(self.seconds):
            loop = asyncio.get_running_loop()
            self._due = loop.time() + self.seconds
            self._handle = loop.call_at(self._due, self._action)

    def cancel(self) -> None:
        """Mutates the timer."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
