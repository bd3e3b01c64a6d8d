"""GLM-Z1-0414: GLM-4-0414's layout under a header of its own, and an answer that begins inside a thought.

Layout: the chat template of THUDM/GLM-Z1-9B-0414. The template drops calls and results; here they are written as
GLM-4 writes them. ``<think>`` is several tokens in this vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import ClassVar

from ..chat import Message, Tool
from .base import ENOUGH_THOUGHT, THINK_END, THINK_START, Piece, Prompt, ThinkingSupport
from .call_grammar import CallsAfterText
from .glm4_0414 import GLM40414Format
from .inline.json_grammar import json_beginning


class GLMZ1Format(GLM40414Format):
    """GLM-Z1. It always thinks, and does not read its earlier thoughts."""

    name: ClassVar[str] = "glm-z1"
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport(on=True, off=False)
    tools_header: ClassVar[str] = (
        "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，"
        "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
    )

    opening: ClassVar[tuple[Piece, ...]] = (f"\n{THINK_START}",)

    def shown(self, message: Message) -> str:
        """Without thoughts, and without blanks around it."""
        text = message.content
        return (text.rpartition(THINK_END)[2] if message.role == "assistant" else text).strip()

    def answer_lead(self, prompt: Prompt) -> str:
        return rf"""lead: thought /\n{{0,2}}/
thought[suffix="{THINK_END}"]: /(?s:.*)/
"""

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> CallsAfterText:
        return json_beginning(tools, strict, THINK_END if prompt.ends_in_think else "")

    def thought_closing(self) -> tuple[Piece, ...]:
        return (f"{ENOUGH_THOUGHT}{THINK_END}\n",)

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        return (f"\n{message.reasoning}{THINK_END}\n", message.content)

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        return (f"{THINK_END}\n", *super().call_opening(name, prompt))
