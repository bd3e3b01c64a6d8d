"""The contract of a chat format: conversation → prompt, and model output → events."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol

from ..chat import FinishReason, Message, ParserEvent, Thinking, Tool
from .call_grammar import CallBeginning, CallGrammar


class CannotRender(ValueError):
    """The format cannot write something that the conversation holds; `param` says where it is."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


THINK_START, THINK_END = "<think>", "</think>"

ENOUGH_THOUGHT = "\n\nThat is enough thought. Now the answer.\n"
"""Ends a thought that has used up its budget. A model that is cut off without a word often goes on to think."""


ThinksWhen = Literal["never", "optional", "always"]


@dataclass(frozen=True, slots=True)
class ThinkingSupport:
    """A generation can think first (`on`), answer at once (`off`), and read its earlier thoughts (`keep`)."""

    on: bool = False
    off: bool = True
    keep: bool = False

    @property
    def when(self) -> ThinksWhen:
        """When the generation thinks: "optional" if a request may choose."""
        if not self.on:
            return "never"
        return "optional" if self.off else "always"


@dataclass(frozen=True, slots=True)
class Special:
    """A special token, by name. Only formats make these: a user's text is plain text and cannot forge one.

    `spelled` is false if a layout's written form leaves the token out (ChatGLM2's leading ``[gMASK]sop``).
    """

    name: str
    spelled: bool = True


Piece = str | Special


@dataclass(frozen=True, slots=True)
class EarlierAnswer:
    """Where an answer of the assistant stands in a prompt: the pieces from `start`, behind ``<|assistant|>``, to `end`.

    `keeps_thought`: the model is shown what it thought there.
    """

    message: Message
    start: int
    end: int
    keeps_thought: bool


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered prompt: special tokens and texts. The tokenizer encodes each by itself.

    `answers` are the earlier answers in it, in their order, of formats that have a token for the assistant.
    """

    pieces: tuple[Piece, ...]
    answers: tuple[EarlierAnswer, ...] = field(default=(), compare=False)

    @property
    def text(self) -> str:
        """The prompt as the format's documentation writes it."""
        return "".join(
            piece if isinstance(piece, str) else piece.name for piece in self.pieces if piece_is_spelled(piece)
        )

    @property
    def ends_in_think(self) -> bool:
        """True if the model's answer begins inside a thought. The parser must know."""
        last = self.pieces[-1] if self.pieces else ""
        return (last if isinstance(last, str) else last.name).endswith(THINK_START)

    @property
    def answer_start(self) -> int:
        """The place of the piece behind the last ``<|assistant|>``: 0 without such a token."""
        assistant = Special("<|assistant|>")
        return len(self.pieces) - self.pieces[::-1].index(assistant) if assistant in self.pieces else 0

    @property
    def history(self) -> Prompt:
        """The part before the last ``<|assistant|>``, which does not ask for an answer.

        Raises: ValueError without such a token.
        """
        if not self.answer_start:
            raise ValueError("the prompt has no <|assistant|>")
        return Prompt(self.pieces[: self.answer_start - 1])


def piece_is_spelled(piece: Piece) -> bool:
    """True if the written form of a prompt shows `piece`."""
    return isinstance(piece, str) or piece.spelled


class OutputParser(Protocol):
    """An incremental decoder of one answer's output. Its events join to the same answer however the output was cut."""

    def feed(self, piece: Piece) -> list[ParserEvent]:
        """Returns the events that become certain with `piece`. Mutates the parser."""
        ...

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        """Returns the events that were held back. The output has ended: with "length" if it was cut off."""
        ...


class ChatFormat(Protocol):
    """How one GLM generation writes conversations. Stateless."""

    name: ClassVar[str]
    supports_tools: ClassVar[bool]
    thinking: ClassVar[ThinkingSupport]
    special_tokens: ClassVar[tuple[str, ...]]
    """Names of the special tokens that the model may write."""
    stop_tokens: ClassVar[tuple[str, ...]]
    """The special tokens that end an answer."""

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        """Returns the prompt that asks for the next assistant message. Formats that do not think ignore `thinking`.

        Raises: CannotRender.
        """
        ...

    def bare_prompt(self, text: str) -> Prompt:
        """Returns a prompt of `text` alone, for completions without a conversation."""
        ...

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        """Returns a fresh parser of one answer.

        Without `tools` the answer holds no calls. None means that the tools are unknown, as with recorded output:
        then the parser reads calls between tags, and no others. `exact`: calls that are not written as `call_grammar`
        says are text, though models may mean them.
        """
        ...

    def answer_lead(self, prompt: Prompt) -> str:
        """Returns rules in llguidance's dialect of Lark. `lead` is what the model writes between `prompt` and the text
        of its answer: blanks of the layout, and a thought. Special tokens go by their names.
        """
        ...

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> CallBeginning | None:
        """Returns how calls of `tools` begin in an answer to `prompt`; None for formats without calls. Of the prompt it
        reads `ends_in_think` alone. The calls of tools named in `strict` are held from there on, whatever they become.
        """
        ...

    def call_grammar(
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]
    ) -> CallGrammar | None:
        """Returns the grammar of a call of one of `tools`; None if no call of them is held to one.

        Values fit their schemas, as far as a grammar can say. If it cannot, what it cannot say is left out, or an error
        for the tools named in `strict`. Tools named in `loose` have values of any kind.

        Raises: SchemaError.
        """
        ...

    def thought_closing(self) -> tuple[Piece, ...]:
        """Returns the pieces that end a thought which has used up its budget. Only for formats that think."""
        ...

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        """Returns the pieces of an answer to `prompt` that begins as `message` does: its thought and its content."""
        ...

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        """Returns the forced prefix: the pieces that begin a call of the tool `name` after `prompt`.

        They close a thought that the prompt leaves open. Only for formats that support tools.
        """
        ...
