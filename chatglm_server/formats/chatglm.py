"""ChatGLM-6B: a bare question, or rounds that are numbered from 0. It has neither roles nor tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..chat import FinishReason, Message, ParserEvent, TextDelta, Thinking, Tool
from .base import OutputParser, Piece, Prompt, Special
from .numbered_rounds import numbered_rounds
from .text_only import TextOnly

_FULL_WIDTH = str.maketrans(",!:;?", "，！：；？")


class ChatGLMFormat(TextOnly):
    """ChatGLM-6B. The two tokens that start its answer come last in the prompt. The prompt attends both ways."""

    name: ClassVar[str] = "chatglm"
    special_tokens: ClassVar[tuple[str, ...]] = ("[MASK]", "[gMASK]", "<sop>", "<eop>", "<pad>")
    stop_tokens: ClassVar[tuple[str, ...]] = ("<eop>",)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        turns = numbered_rounds(messages)
        if len(turns) == 1:
            text = turns[0][0]
        else:
            text = ""
            for number, (question, answer) in enumerate(turns):
                text += f"[Round {number}]\n问：{question}\n答："
                if answer is not None:
                    text += f"{answer}\n"
        return self.bare_prompt(text)

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((text, Special("[gMASK]", spelled=False), Special("<sop>", spelled=False)))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        return _FullWidthPunctuation(self.text_parser(()))


class _FullWidthPunctuation:
    """Makes the ASCII punctuation beside Chinese characters full-width, as ChatGLM-6B's own post-processing does."""

    def __init__(self, answer: OutputParser) -> None:
        self._answer = answer
        self._before = ""
        self._held = ""  # a mark; the next character decides its width

    def feed(self, piece: Piece) -> list[ParserEvent]:
        return self._widened(self._answer.feed(piece))

    def flush(self, reason: FinishReason) -> list[ParserEvent]:
        events = self._widened(self._answer.flush(reason))
        return [*events, TextDelta(self._held)] if self._held else events

    def _widened(self, events: list[ParserEvent]) -> list[ParserEvent]:
        texts = [event.text for event in events if isinstance(event, TextDelta)]
        text = "".join(map(self._widen, "".join(texts)))
        return [TextDelta(text)] if text else []

    def _widen(self, char: str) -> str:
        held, self._held = self._held, ""
        if held and _is_chinese(char):
            held = held.translate(_FULL_WIDTH)
        if char in ",!:;?":
            if _is_chinese(self._before):
                char = char.translate(_FULL_WIDTH)
            else:
                char, self._held = "", char
        self._before = char or self._held
        return held + char


def _is_chinese(char: str) -> bool:
    return "\u4e00" <= char <= "\u9fff"
