"""One answer of GLM-4.5 and later: tells reasoning, text and tagged calls apart while it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from ...chat import (
    FinishReason,
    ParserEvent,
    ReasoningDelta,
    TextDelta,
    ToolCallAbandoned,
    ToolCallRepaired,
    ToolCallStart,
)
from ..base import THINK_END, THINK_START, Piece
from ..content import GrowingText
from ..scanning.markers import MarkerScanner
from ..tool_names import DeclaredTools
from .answer_text import AnswerText
from .call import Call
from .reader import CallReader
from .tags import CALL_END, CALL_START, CALL_TAGS

THINK_TAGS = (THINK_START, THINK_END)


class TaggedParser:
    """Parser of one answer. Without `tools` (None) no tag begins a call.

    Reasoning ends with ``</think>``, or with the first call. What begins like a call and turns out to be text stays
    where it stood. Blanks are trimmed at the edges of the reasoning, and before and after the text of an answer that
    has calls. `numbers` numbers the calls, if the text's own parser numbers its calls with them, too.

    A call inside a thought that no tag has ended is sent once it is whole, because models give such calls up.

    `exact`: tags are special tokens, and never letters.
    """

    def __init__(
        self,
        tools: DeclaredTools | None,
        text: AnswerText,
        *,
        inside: bool,
        numbers: Iterator[int] | None = None,
        exact: bool = False,
    ) -> None:
        self._tools = tools
        self._scanner = MarkerScanner(THINK_TAGS if tools is None else THINK_TAGS + CALL_TAGS)
        self._reasoning = GrowingText(trim_start=True)
        self._text = text
        self._exact = exact
        self._thinking = inside
        self._thought = inside
        self._unclosed_thought = inside  # a thought began, and no tag has ended it
        self._numbers = numbers or count()
        self._reader: CallReader | None = None
        self._called = False
        self._last_call: Call | None = None  # that has ended, as long as its end tag may come twice
        self._ended = False

    def feed(self, piece: Piece) -> list[ParserEvent]:
        if self._ended:
            return []
        events: list[ParserEvent] = []
        if isinstance(piece, str):
            for part, is_tag in [(piece, False)] if self._exact else self._scanner.feed(piece):
                self._take(part, is_tag, events)
        elif piece.name in THINK_TAGS or piece.name in CALL_TAGS:  # from engines that know the tokens of tags
            if not self._exact:
                return self.feed(piece.name)
            self._take(piece.name, True, events)
        elif (role := self._text.role(piece)) == "end":
            return self.flush("stop")
        elif role == "next part":
            self._settle("stop", events)
            self._end_reasoning()
            self._text.next_part(events)
        return events

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        if self._ended:
            return []
        self._ended = True
        events: list[ParserEvent] = []
        self._settle(reason, events)
        self._text.end(reason, events)
        return events

    def _settle(self, reason: FinishReason, events: list[ParserEvent]) -> None:
        """The text so far ends here."""
        held = self._scanner.flush()
        if held and self._reader is None:
            self._take(held, False, events)
            held = ""
        while self._reader is not None:  # what it leaves over may begin another call
            self._reader.end(held, reason)
            self._drain(self._reader, events)
            held = ""
        self._report_repairs(events)

    def _take(self, part: str, is_tag: bool, events: list[ParserEvent]) -> None:
        reader = self._reader
        if reader is not None:
            reader.feed(part, is_tag)
            if reader.call.events or reader.outcome is not None:
                self._drain(reader, events)
        elif is_tag:
            self._take_tag(part, events)
        else:
            self._take_text(part, events)

    def _take_text(self, text: str, events: list[ParserEvent]) -> None:
        if self._thinking:
            certain = self._reasoning.add(text)
            if certain:
                events.append(ReasoningDelta(certain))
            return
        if self._last_call is not None and text.strip():
            self._report_repairs(events)
        self._text.add(text, events)

    def _take_tag(self, tag: str, events: list[ParserEvent]) -> None:
        if self._last_call is not None:
            if tag == CALL_END:
                self._last_call.repaired("doubled </tool_call>")
                return
            self._report_repairs(events)
        if self._text.in_call:
            self._take_text(tag, events)
        elif tag == CALL_START and self._tools is not None:
            self._reader = CallReader(self._tools, self._numbers, may_stream=not self._unclosed_thought)
        elif tag == THINK_END and self._thinking:
            self._unclosed_thought = False
            self._end_reasoning()
        elif tag in THINK_TAGS and self._is_stray(tag):
            self._unclosed_thought = self._unclosed_thought and tag != THINK_END
            self._text.trim_start()
        elif tag == THINK_START and not self._thinking and not self._text.started:
            self._thinking = self._thought = self._unclosed_thought = True
            self._text.trim_start()
        else:
            self._take_text(tag, events)

    def _is_stray(self, tag: str) -> bool:
        """True if a tag of thoughts is dropped: it repeats one, or begins a thought where none can be."""
        if self._thinking:
            return not self._reasoning.started
        return self._thought or self._called or (tag == THINK_END and not self._text.started)

    def _drain(self, reader: CallReader, events: list[ParserEvent]) -> None:
        """Passes on the reader's events, and what follows from its outcome."""
        sent = reader.call.events
        if sent:
            if isinstance(sent[0], ToolCallStart):
                self._begin_call(reader.call, events)
            events += sent
            sent.clear()
        outcome = reader.outcome
        if outcome is None:
            return
        self._reader = None
        if outcome.kind == "call":
            self._text.trim_start()
            self._text.trim_end()
            self._last_call = reader.call
        elif outcome.kind == "text":
            self._take_back(reader.call, events)
        if outcome.prose:
            if self._thinking:  # the prose is what follows the end of the thought
                self._end_reasoning()
            self._take_text(outcome.prose, events)
        for part, is_tag in outcome.leftover:
            self._take(part, is_tag, events)

    def _begin_call(self, call: Call, events: list[ParserEvent]) -> None:
        if self._thinking:
            call.repaired("missing </think>")
            self._end_reasoning()
        self._called = True
        self._text.interrupt(events)

    def _take_back(self, call: Call, events: list[ParserEvent]) -> None:
        """The block is text. If a part of its call was sent, the output was cut off inside it."""
        raw = call.raw.getvalue()
        if not call.begun:
            self._take_text(raw, events)
            return
        added: list[ParserEvent] = []
        self._text.add(raw, added)
        match added:
            case [TextDelta(text), *others]:
                events += [ToolCallAbandoned(call.index, text), *others]
            case _:
                events += [ToolCallAbandoned(call.index, ""), *added]

    def _report_repairs(self, events: list[ParserEvent]) -> None:
        """Something else follows than a second end of the last call."""
        if self._last_call is not None and self._last_call.repairs:
            events.append(ToolCallRepaired(self._last_call.index, tuple(self._last_call.repairs)))
        self._last_call = None

    def _end_reasoning(self) -> None:
        self._thinking = False
        self._text.trim_start()
