"""From pieces of model output to the events of one answer, and the reason why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..chat import FinishReason, ParserEvent, ReasoningDelta, TextDelta, ToolCallAbandoned, ToolCallStart
from ..errors import InvalidRequest
from ..formats.base import THINK_END, THINK_START, OutputParser, Piece, Special
from .stop_strings import StopStrings


class Output:
    """One answer while it is generated."""

    def __init__(
        self,
        parser: OutputParser,
        stop: Sequence[str] = (),
        *,
        parallel_tool_calls: bool = True,
        in_thought: bool | None = None,
    ) -> None:
        """`in_thought`: whether the prompt ends inside a thought; None for models that do not think."""
        self._parser = parser
        self._stop = StopStrings(stop)
        self._max_calls = None if parallel_tool_calls else 1
        self._calls = 0
        self.complete = False
        """True if the answer ends here: at a stop string, or before a second call if only one is wanted."""
        self.in_thought = in_thought
        """True if the next piece continues a thought; None for models that do not think."""
        self._known = 0  # characters of content that the client has
        self._tail = ""  # end of the text so far, because the end mark of a thought may come in several pieces

    def begin(self, pieces: Sequence[Piece], content: str) -> None:
        """The answer begins with `pieces`, which hold `content`. The client has it, so that no event tells it again.

        Mutates the output. Raises: InvalidRequest if a call begins there.
        """
        self._known = len(content)
        if any(self.feed(piece) for piece in pieces):
            raise InvalidRequest("the last message holds a call, which cannot be continued", param="messages")

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the answer, if one did."""
        return self._stop.found

    def feed(self, piece: Piece) -> list[ParserEvent]:
        """The events that become certain with `piece`. Mutates the output."""
        if self.complete:
            return []
        events = self._parser.feed(piece)
        if self.in_thought is not None:
            self.in_thought = self._still_in_thought(piece, events)
        return self._count_calls(self._stop.feed(self._unknown(events)))

    def finish(self, *, cut: bool) -> tuple[list[ParserEvent], FinishReason]:
        """The last events and the reason. `cut`: the model has not ended its turn. Mutates the output."""
        events: list[ParserEvent] = []
        if not self.complete:
            events = self._count_calls(self._stop.feed(self._unknown(self._parser.flush("length" if cut else "stop"))))
            events += self._stop.flush() if not self.complete else []
        if cut and not self.complete:
            return events, "length"
        return events, "tool_calls" if self._calls else "stop"

    def _unknown(self, events: list[ParserEvent]) -> list[ParserEvent]:
        """The events without the content that the client has, and without the thought before it."""
        unknown: list[ParserEvent] = []
        for event in events:
            if isinstance(event, TextDelta):
                text = event.text[self._known :]
                self._known = max(0, self._known - len(event.text))
                unknown += [replace(event, text=text)] if text else []
            elif not (self._known and isinstance(event, ReasoningDelta)):
                self._known = 0
                unknown.append(event)
        return unknown

    def _still_in_thought(self, piece: Piece, events: Sequence[ParserEvent]) -> bool:
        """Follows the parser's events, and the marks of a thought where the parser holds text back."""
        if isinstance(piece, Special):
            self._tail = ""
            if piece.name in (THINK_START, THINK_END):
                return piece.name == THINK_START
        else:
            text = self._tail + piece
            self._tail = text[-len(THINK_END) + 1 :]
            if THINK_END in text:
                return False
        return isinstance(events[-1], ReasoningDelta) if events else bool(self.in_thought)

    def _count_calls(self, events: list[ParserEvent]) -> list[ParserEvent]:
        self.complete = self.stop_string is not None
        for place, event in enumerate(events):
            if isinstance(event, ToolCallStart):
                if self._calls == self._max_calls:
                    self.complete = True
                    return events[:place]
                self._calls += 1
            elif isinstance(event, ToolCallAbandoned):
                self._calls -= 1
        return events


class PlainText:
    """A parser for output without calls and thoughts: drops special tokens; everything else is text."""

    def feed(self, piece: Piece) -> list[ParserEvent]:
        return [] if isinstance(piece, Special) else [TextDelta(piece)]

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        return []
