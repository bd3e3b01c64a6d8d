"""ChatGLM2: numbered rounds of question and answer. It has neither roles nor tools."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from ..chat import Message, Thinking, Tool
from .base import OutputParser, Piece, Prompt, Special, ThinkingSupport
from .inline.layout import CallLayout
from .inline.parser import InlineCallParser, TextParser
from .inline.python_calls import read_json_call
from .numbered_rounds import numbered_rounds


class ChatGLM2Format:
    """ChatGLM2-6B. The layout is that of its tokenizer's ``build_prompt``."""

    name: ClassVar[str] = "chatglm2"
    supports_tools: ClassVar[bool] = False
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport()
    special_tokens: ClassVar[tuple[str, ...]] = ("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop")
    stop_tokens: ClassVar[tuple[str, ...]] = ()

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        text = ""
        for number, (question, answer) in enumerate(numbered_rounds(messages), start=1):
            text += f"[Round {number}]\n\n问：{question}\n\n答："
            if answer is not None:
                text += f"{answer}\n\n"
        return self.bare_prompt(text)

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((Special("[gMASK]", spelled=False), Special("sop", spelled=False), text))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        return self.text_parser(())

    def text_parser(self, tools: Sequence[Tool], numbers: Iterator[int] | None = None) -> TextParser:
        """Returns a fresh parser of an answer. It finds no calls."""
        return InlineCallParser(TEXT_ONLY, ())

    def answer_lead(self, prompt: Prompt) -> str:
        return "lead: / ?/\n"

    def call_grammar(
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str], prompt: Prompt
    ) -> None:
        return None

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        raise NotImplementedError("ChatGLM2 cannot call tools")


TEXT_ONLY = CallLayout(
    body="(?!)",
    exact_body="(?!)",
    read=read_json_call,
    placeholders=(("[[训练时间]]", "2023年"),),
    role_tokens=frozenset({"<eop>"}),
)
"""The layout of answers without calls. ``<eop>`` ends those of ChatGLM-6B."""
