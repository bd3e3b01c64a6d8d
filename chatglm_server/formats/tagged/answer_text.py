"""The text beside an answer's tagged calls: plain, or itself of a format that writes calls into text."""

from __future__ import annotations

from typing import Literal, Protocol

from ...chat import FinishReason, ParserEvent, TextDelta
from ..base import Special
from ..content import GrowingText
from ..inline.parser import TextParser

ROLE_TOKENS = frozenset({"<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"})
"""Special tokens that end an answer, written or not."""
ASSISTANT = Special("<|assistant|>")


class AnswerText(Protocol):
    """Reads the text of an answer. What becomes certain is appended to `events`. All methods but `role` mutate it."""

    @property
    def started(self) -> bool:
        """True if the text holds more than blanks."""
        ...

    @property
    def in_call(self) -> bool:
        """True if a call was begun that the text itself holds, so that tags are part of its arguments."""
        ...

    def add(self, text: str, events: list[ParserEvent]) -> None:
        """More text."""
        ...

    def trim_start(self) -> None:
        """Blanks before the text are not part of it."""
        ...

    def trim_end(self) -> None:
        """Blanks at the end of the answer are not part of it."""
        ...

    def interrupt(self, events: list[ParserEvent]) -> None:
        """A tagged call follows."""
        ...

    def role(self, token: Special) -> Literal["end", "next part"] | None:
        """Returns what `token` means, if it is a role's: the answer's end, or another part of it."""
        ...

    def next_part(self, events: list[ParserEvent]) -> None:
        """Another part of the answer follows."""
        ...

    def end(self, reason: FinishReason, events: list[ParserEvent]) -> None:
        """The output ends."""
        ...


class PlainText:
    """The text of GLM-4.5 and later. `lead` is what the layout puts before it."""

    in_call = False

    def __init__(self, lead: str = "") -> None:
        self._text = GrowingText(lead=lead)
        self._add = self._text.add
        self._trim_end = False

    @property
    def started(self) -> bool:
        return self._text.started

    def add(self, text: str, events: list[ParserEvent]) -> None:
        certain = self._add(text)
        if certain:
            events.append(TextDelta(certain))

    def trim_start(self) -> None:
        self._text.trim_start()

    def trim_end(self) -> None:
        self._trim_end = True

    def interrupt(self, events: list[ParserEvent]) -> None:
        pass

    def role(self, token: Special) -> Literal["end", "next part"] | None:
        return "end" if token.name in ROLE_TOKENS else None

    def next_part(self, events: list[ParserEvent]) -> None:
        raise NotImplementedError("such an answer has one part")

    def end(self, reason: FinishReason, events: list[ParserEvent]) -> None:
        blanks = self._text.end(trim=self._trim_end)
        if blanks:
            events.append(TextDelta(blanks))


class TextWithCalls:
    """Text in which `parser` finds calls without tags. The answer may have several parts, each behind its role."""

    def __init__(self, parser: TextParser) -> None:
        self._parser = parser
        self._trim_end = False
        self.started = False

    @property
    def in_call(self) -> bool:
        return self._parser.in_call

    def add(self, text: str, events: list[ParserEvent]) -> None:
        self.started = self.started or bool(text.strip())
        events += self._parser.feed(text)

    def trim_start(self) -> None:
        """The parser trims it in any case."""

    def trim_end(self) -> None:
        self._trim_end = True

    def interrupt(self, events: list[ParserEvent]) -> None:
        events += self._parser.interrupt()

    def role(self, token: Special) -> Literal["end", "next part"] | None:
        if token == ASSISTANT:
            return "next part"
        return "end" if token.name in ROLE_TOKENS else None

    def next_part(self, events: list[ParserEvent]) -> None:
        events += self._parser.feed(ASSISTANT)

    def end(self, reason: FinishReason, events: list[ParserEvent]) -> None:
        last = self._parser.flush(reason)
        if self._trim_end and last and isinstance(last[-1], TextDelta) and last[-1].text.isspace():
            last.pop()
        events += last
