"""What is kept for later requests, within a bound: grammars, answers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The values that were used last, as many as a total size allows. Any thread may ask."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, key: Key) -> Value | None:
        """The value that was kept for `key`, now the one used last."""
        with self._lock:
            known = self._values.get(key)
            if known is None:
                return None
            self._values.move_to_end(key)
            return known[0]

    def keep(self, key: Key, value: Value, size: int) -> None:
        """Mutates the collection: those used longest ago make room."""
        with self._lock:
            _, before = self._values.pop(key, (value, 0))
            self._values[key] = value, size
            self._size += size - before
            while self._size > self._most:
                _, (_, released) = self._values.popitem(last=False)
                self._size -= released
