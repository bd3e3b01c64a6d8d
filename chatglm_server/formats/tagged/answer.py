"""One answer of GLM-4.5 and later: reasoning, text and tagged calls, told apart while it arrives."""

from __future__ import annotations

from collections.abc import Sequence

from ...chat import (
    FinishReason,
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    Tool,
    ToolCallAbandoned,
    ToolCallRepaired,
)
from ..base import THINK_END, THINK_START, Piece
from ..content import TrailingBlanks
from ..scanning.markers import MarkerScanner
from ..tool_names import DeclaredTools
from .call_builder import CALL_END, CALL_START
from .calls import CALL_TAGS, CallReader

ROLE_TOKENS = frozenset({"<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"})
"""Special tokens that end an answer, written or not."""
THINK_TAGS = (THINK_START, THINK_END)


class TaggedParser:
    """Parser of one answer. `tools` as in `ChatFormat.parser`; `text_lead` is what the layout puts before text.

    Reasoning ends with ``</think>``, or with the first call. What begins like a call and is none stays where it stood.
    Blanks are trimmed at the edges of the reasoning, behind it, and at the edges of an answer that has calls.
    """

    def __init__(self, tools: Sequence[Tool] | None, *, inside: bool, text_lead: str = "") -> None:
        self._tools = None if tools is not None and not tools else DeclaredTools(tools)
        self._scanner = MarkerScanner(THINK_TAGS if self._tools is None else THINK_TAGS + CALL_TAGS)
        self._reasoning = _Run(trim_start=True)
        self._content = _Run(lead=text_lead)
        self._thinking = inside
        self._thought = inside
        self._reader: CallReader | None = None
        self._calls = 0  # begun ones
        self._called = False
        self._repairs: list[str] | None = None  # of the call that ended last, while its end may be written twice
        self._ended = False

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if self._ended:
            return []
        events: list[ParserEvent] = []
        if isinstance(piece, str):
            for part, is_tag in self._scanner.feed(piece):
                self._take(part, is_tag, events)
            return events
        if piece.name in ROLE_TOKENS:
            return self.flush("stop")
        if piece.name in THINK_TAGS or piece.name in CALL_TAGS:  # the same tags, from engines that know their tokens
            return self.feed(piece.name)
        return []

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        if self._ended:
            return []
        self._ended = True
        events: list[ParserEvent] = []
        held = self._scanner.flush()
        if held and self._reader is None:
            self._take(held, False, events)
            held = ""
        while self._reader is not None:  # what it leaves over may begin another call
            self._reader.end(held, reason)
            self._drain(events)
            held = ""
        self._leave_call(events)
        blanks = self._content.end(trim=self._called)
        return [*events, TextDelta(blanks)] if blanks else events

    def _take(self, part: str, is_tag: bool, events: list[ParserEvent]) -> None:
        if self._reader is not None:
            self._reader.feed(part, is_tag)
            self._drain(events)
        elif is_tag:
            self._tag(part, events)
        else:
            self._text(part, events)

    def _text(self, text: str, events: list[ParserEvent]) -> None:
        if self._thinking:
            certain = self._reasoning.add(text)
            if certain:
                events.append(ReasoningDelta(certain))
            return
        if self._repairs is not None and text.strip():
            self._leave_call(events)
        certain = self._content.add(text)
        if certain:
            events.append(TextDelta(certain))

    def _tag(self, tag: str, events: list[ParserEvent]) -> None:
        if self._repairs is not None:
            if tag == CALL_END:
                if "doubled </tool_call>" not in self._repairs:
                    self._repairs.append("doubled </tool_call>")
                return
            self._leave_call(events)
        if tag == CALL_START and self._tools is not None:
            self._reader = CallReader(self._tools, self._calls)
        elif tag == THINK_END and self._thinking:
            self._end_reasoning()
        elif tag in THINK_TAGS and self._is_stray(tag):
            self._content.trim_start = True
        elif tag == THINK_START and not self._thinking and not self._content.started:
            self._thinking = self._thought = True
            self._content.drop()
        else:
            self._text(tag, events)

    def _is_stray(self, tag: str) -> bool:
        """Whether a tag of thoughts is none of the answer: it repeats one, or begins a thought where none can be."""
        if self._thinking:
            return not self._reasoning.started
        return self._thought or self._calls > 0 or (tag == THINK_END and not self._content.started)

    def _drain(self, events: list[ParserEvent]) -> None:
        """The reader's events, and what follows from its outcome."""
        reader = self._reader
        assert reader is not None  # noqa: S101 - callers have just fed it
        if reader.events:
            if reader.begun and self._thinking:
                reader.repairs.append("missing </think>")
                self._end_reasoning()
            events += reader.events
            reader.events.clear()
        if reader.outcome is None:
            return
        self._reader = None
        text = reader.raw if reader.outcome == "text" else reader.prose
        if reader.prose and self._thinking:  # it stands behind the end of the thought
            self._end_reasoning()
        self._calls += reader.begun
        if reader.outcome == "call":
            self._content.trim_start = self._called = True
            self._repairs = reader.repairs
            self._index = self._calls - 1
        elif reader.begun:
            events.append(ToolCallAbandoned(self._calls - 1, self._content.add(text)))
        else:
            self._text(text, events)
        for part, is_tag in reader.leftover:
            self._take(part, is_tag, events)

    def _leave_call(self, events: list[ParserEvent]) -> None:
        """What comes next is no second end of the call that ended last."""
        if self._repairs:
            events.append(ToolCallRepaired(self._index, tuple(self._repairs)))
        self._repairs = None

    def _end_reasoning(self) -> None:
        self._thinking = False
        self._content.trim_start = True


class _Run:
    """A growing text. Blanks at its end are held back until something follows them."""

    def __init__(self, *, trim_start: bool = False, lead: str = "") -> None:
        self._blanks = TrailingBlanks()
        self._lead = lead
        self.trim_start = trim_start
        self.started = False

    def add(self, text: str) -> str:
        """What is certain with `text`. Mutates the run."""
        certain = self._blanks.add(text)
        if self.started or not certain:
            return certain
        self.started = True
        return certain.lstrip() if self.trim_start else certain.removeprefix(self._lead)

    def drop(self) -> None:
        """The blanks held back are none of it. Mutates the run."""
        self._blanks.take()
        self.trim_start = True

    def end(self, *, trim: bool) -> str:
        """The blanks at the end, but for `trim` and for a run that is nothing else. Mutates the run."""
        blanks = self._blanks.take()
        return "" if trim or not self.started else blanks
