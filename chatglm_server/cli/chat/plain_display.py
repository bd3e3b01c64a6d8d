"""An answer where nobody looks: nothing but its text."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, TextIO

from typing_extensions import Self

from ...chat import Event, TextDelta, ToolCallAbandoned
from ..safe_text import printable


class Display(Protocol):
    """Shows one answer, event by event, inside its context."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def add(self, event: Event) -> None:
        """Show `event`."""


class PlainDisplay:
    """Writes an answer's text as it comes, and ends it with a line break."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._last = ""

    def __enter__(self) -> Self:
        return self

    def add(self, event: Event) -> None:
        if isinstance(event, TextDelta | ToolCallAbandoned) and event.text:
            self._last = event.text[-1]
            self._out.write(printable(event.text))
            self._out.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last not in ("", "\n"):
            self._out.write("\n")
            self._out.flush()
