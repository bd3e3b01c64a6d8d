"""Lets in a bounded number of requests, and none once the engine is stopping."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import QueueFull, ShuttingDown


class Admission:
    """Counts the requests in an engine."""

    def __init__(self, at_once: int, max_queue: int) -> None:
        """`at_once` requests are answered at the same time, `max_queue` more may wait."""
        self.max_queue = max_queue
        self._most = at_once + max_queue
        self.admitted = 0
        self.stopping = False
        """True if no more requests are let in. Signal handlers set it too, so those that wait have to look."""

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place in the engine, for as long as the context lasts.

        Raises: QueueFull, ShuttingDown.
        """
        self.check_open()
        if self.admitted >= self._most:
            raise QueueFull(f"the queue of {self.max_queue} waiting requests is full; try again in a few seconds")
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    def check_open(self) -> None:
        """Raises: ShuttingDown."""
        if self.stopping:
            raise ShuttingDown("the server is shutting down; the answer was not finished")
