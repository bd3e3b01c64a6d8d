"""Decodes server-sent events (WHATWG HTML, "Interpreting an event stream") from bytes in pieces of any size."""

from __future__ import annotations

import re

_LINE_END = re.compile(rb"\r\n|\r|\n")


class EventTooLong(ValueError):
    """One event is longer than the reader may hold."""


class EventReader:
    """Gives the data of events; ignores their names, ids and comments."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._line = bytearray()  # the beginning of a line whose end has not arrived
        self._after_cr = False  # the last byte was "\r": a "\n" that follows belongs to it
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[str]:
        """Returns the data of the events that end in `chunk`. Mutates the reader. Raises: EventTooLong."""
        start = int(self._after_cr and chunk[:1] == b"\n")
        if chunk:
            self._after_cr = chunk[-1:] == b"\r"
        events: list[str] = []
        for end in _LINE_END.finditer(chunk, start):
            self._extend(chunk[start : end.start()])
            start = end.end()
            line = bytes(self._line)
            self._line.clear()
            if line:
                self._take(line)
            else:
                events += self._dispatch()
        self._extend(chunk[start:])
        return events

    def flush(self) -> list[str]:
        """Returns the data of a last event without a blank line after it. Mutates the reader."""
        self._take(bytes(self._line))
        self._line.clear()
        return self._dispatch()

    def _extend(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._max_bytes:
            raise EventTooLong(f"an event of more than {self._max_bytes} bytes")
        self._line += part

    def _take(self, line: bytes) -> None:
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        else:
            self._size -= len(line)

    def _dispatch(self) -> list[str]:
        data, self._data, self._size = self._data, [], 0
        return [b"\n".join(data).decode("utf-8", "replace")] if data else []
