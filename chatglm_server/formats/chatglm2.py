"""ChatGLM2: numbered rounds of question and answer. It has neither roles nor tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from ..chat import Message, Thinking, Tool
from .base import OutputParser, Prompt, Special
from .numbered_rounds import numbered_rounds
from .text_only import TextOnly


class ChatGLM2Format(TextOnly):
    """ChatGLM2-6B. The layout is that of its tokenizer's ``build_prompt``."""

    name: ClassVar[str] = "chatglm2"
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
