"""The formats without tools, ChatGLM-6B and ChatGLM2: their answers are text alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from ..chat import Message, Tool
from .base import Piece, Prompt, ThinkingSupport
from .inline.layout import CallLayout
from .inline.parser import InlineCallParser, TextParser
from .inline.python_calls import read_json_call


class TextOnly:
    """What both have in common. There are no calls to find, to hold or to open."""

    supports_tools: ClassVar[bool] = False
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport()

    def text_parser(self, tools: Sequence[Tool], numbers: Iterator[int] | None = None) -> TextParser:
        """Returns a fresh parser of an answer, which leaves its punctuation as it is."""
        return InlineCallParser(_LAYOUT, ())

    def answer_lead(self, prompt: Prompt) -> str:
        return "lead: / ?/\n"

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> None:
        return None

    def call_grammar(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> None:
        return None

    def thought_closing(self) -> tuple[Piece, ...]:
        raise NotImplementedError("ChatGLM-6B and ChatGLM2 do not think")

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        return (message.content,)

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        raise NotImplementedError("ChatGLM-6B and ChatGLM2 cannot call tools")


_LAYOUT = CallLayout(
    body="(?!)",
    exact_body="(?!)",
    read=read_json_call,
    placeholders=(("[[训练时间]]", "2023年"),),
    role_tokens=frozenset({"<eop>"}),
)
"""It matches no calls. ``<eop>`` ends answers of ChatGLM-6B."""
