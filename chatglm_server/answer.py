"""Events folded into whole answers, for clients that do not stream."""

from __future__ import annotations

from collections.abc import Iterable
from io import StringIO
from itertools import dropwhile

from typing_extensions import assert_never

from .chat import (
    Accepted,
    AnswerWritten,
    Event,
    Finish,
    PromptRead,
    ReasoningDelta,
    TextDelta,
    TokenSampled,
    ToolCallAbandoned,
    ToolCallDelta,
    ToolCallRepaired,
    ToolCallStart,
)


class AnsweredCall:
    """One call of a whole answer. Any number of fragments cost no more than their length."""

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.name = name
        self.repairs: tuple[str, ...] = ()
        self._arguments = StringIO()

    @property
    def arguments(self) -> str:
        """JSON text."""
        return self._arguments.getvalue()

    def add(self, arguments: str) -> None:
        """Append a fragment of the arguments. Mutates this call."""
        self._arguments.write(arguments)


class TextTokens:
    """Tells from an answer's events which of its tokens spell its text, and not thoughts, calls and marks."""

    def __init__(self) -> None:
        self._held: list[TokenSampled] = []  # since the last event that was none
        self._in_text = False

    def add(self, event: Event) -> list[TokenSampled]:
        """The tokens of the text that `event` brings. Mutates this."""
        if isinstance(event, TokenSampled):
            self._held.append(event)
            return []
        if isinstance(event, AnswerWritten):
            return []
        tokens, self._held = self._held, []
        was_in_text, self._in_text = self._in_text, isinstance(event, TextDelta | ToolCallAbandoned)
        if not isinstance(event, TextDelta | ToolCallAbandoned):
            return []
        if was_in_text:
            return tokens
        text = event.text.encode("utf-8", "surrogatepass").lstrip()

        def is_mark(token: TokenSampled) -> bool:
            piece = token.sampled.bytes.lstrip()
            return not piece or not (text.startswith(piece) or piece.startswith(text))

        return list(dropwhile(is_mark, tokens))


class Answer:
    """Events folded into one message: what a client that does not stream gets. Costs no more than their length."""

    def __init__(self) -> None:
        self.finish: Finish | None = None
        self.tokens: list[TokenSampled] = []
        self.text_tokens: list[TokenSampled] = []
        """Those of `tokens` that spell the content."""
        self._content = StringIO()
        self._reasoning = StringIO()
        self._of_text = TextTokens()
        self._calls: dict[int, AnsweredCall] = {}  # by their number in the stream, which counts abandoned ones as well

    @property
    def content(self) -> str:
        return self._content.getvalue()

    @property
    def reasoning(self) -> str:
        return self._reasoning.getvalue()

    @property
    def tool_calls(self) -> list[AnsweredCall]:
        return list(self._calls.values())

    def add(self, event: Event) -> None:
        """Append one event. Mutates this answer."""
        self.text_tokens += self._of_text.add(event)
        if isinstance(event, TextDelta):
            self._content.write(event.text)
        elif isinstance(event, ReasoningDelta):
            self._reasoning.write(event.text)
        elif isinstance(event, ToolCallStart):
            self._calls[event.index] = AnsweredCall(event.id, event.name)
        elif isinstance(event, ToolCallDelta):
            self._calls[event.index].add(event.arguments)
        elif isinstance(event, ToolCallRepaired):
            self._calls[event.index].repairs = event.repairs
        elif isinstance(event, ToolCallAbandoned):
            del self._calls[event.index]
            self._content.write(event.text)
        elif isinstance(event, TokenSampled):
            self.tokens.append(event)
        elif isinstance(event, Finish):
            self.finish = event
        elif not isinstance(event, Accepted | PromptRead | AnswerWritten):
            assert_never(event)

    def finished(self) -> Finish:
        """The end of the answer. Raises: ValueError if it has not ended."""
        if self.finish is None:
            raise ValueError("the answer has not ended")
        return self.finish

    @classmethod
    def of(cls, events: Iterable[Event]) -> Answer:
        """The answer that `events` make."""
        answer = cls()
        for event in events:
            answer.add(event)
        return answer
