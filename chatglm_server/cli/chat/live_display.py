"""An answer on a terminal: Markdown that is drawn while it is written, the thought dim and then one line."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.markdown import Markdown
from rich.segment import Segment
from rich.spinner import Spinner
from rich.text import Text
from typing_extensions import Self

from ...chat import Event, PromptRead, ReasoningDelta, TextDelta, ToolCallAbandoned, ToolCallStart
from ..safe_text import printable
from .markdown_blocks import parsed, split_finished
from .silent_keys import silent_keys

_FRAME_S = 0.1
_THOUGHT_LINES = 6
_BELOW = 2  # lines of the terminal that the drawing leaves free


class LiveDisplay:
    """Finished blocks are printed once and for all; only the last block, the thought or a wait is drawn anew."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._block = ""
        self._thought = ""
        self._thought_began = 0.0
        self._spinner = Spinner("dots", Text("", style="dim"))
        self._keys = silent_keys()
        # Rich's own thread may draw in the middle of what is printed: the event loop draws.
        self._live = Live(console=console, get_renderable=self._drawn, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._keys.__enter__()
        self._live.start()
        self._draw()
        return self

    def _draw(self) -> None:
        self._live.refresh()
        self._next = asyncio.get_running_loop().call_later(_FRAME_S, self._draw)

    def add(self, event: Event) -> None:
        if isinstance(event, PromptRead):
            self._wait(f"reading {event.read:,} of {event.tokens:,} tokens, {event.seconds_left:.0f} s left")
        elif isinstance(event, ReasoningDelta):
            self._thought_began = self._thought_began or time.monotonic()
            self._thought += printable(event.text)
        elif isinstance(event, ToolCallStart):
            self._end_thought()
            self._end_text()
            self._wait(f"calls {printable(event.name)}")
        elif isinstance(event, TextDelta | ToolCallAbandoned):
            self._end_thought()
            self._block += printable(event.text)
            if "\n" in event.text:  # only whole lines end a block
                finished, self._block = split_finished(self._block)
                self._print(finished)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._next.cancel()
        self._live.stop()
        self._end_thought()
        self._end_text()
        self._keys.__exit__(kind, error, trace)

    def _wait(self, text: str) -> None:
        self._spinner.update(text=Text(text, style="dim"))

    def _end_thought(self) -> None:
        if self._thought.strip():
            seconds = time.monotonic() - self._thought_began
            self._console.print(Text(f"thought for {seconds:.1f} s\n", style="dim"))
        self._thought = ""

    def _end_text(self) -> None:
        block, self._block = self._block, ""
        self._print(block)

    def _print(self, text: str) -> None:
        if text.strip():
            self._console.print(_Lines(_markdown(text)), end="")
            self._console.print()

    def _drawn(self) -> RenderableType:
        if self._block.strip():
            return _Lines(_markdown(self._block), self._console.height - _BELOW)
        if self._thought.strip():
            return _Lines(Text(self._thought.strip(), style="dim"), min(_THOUGHT_LINES, self._console.height - _BELOW))
        return self._spinner


def _markdown(text: str) -> Markdown:
    """`text` with the addresses of its links in sight: a link's text may say another."""
    markdown = Markdown("", hyperlinks=False)
    markdown.parsed = parsed(text)
    return markdown


class _Lines:
    """The last lines of something, without blank ones at its ends: it may be taller than the terminal."""

    def __init__(self, whole: RenderableType, most: int | None = None) -> None:
        self._whole = whole
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._whole, options.update(height=None), pad=False)
        shown = [number for number, line in enumerate(lines) if any(segment.text.strip() for segment in line)]
        lines = lines[shown[0] : shown[-1] + 1] if shown else []
        for line in lines if self._most is None else lines[-max(1, self._most) :]:
            yield from line
            yield Segment.line()
