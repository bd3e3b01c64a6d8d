"""GLM-Z1-0414: GLM-4's roles and calls under a header of its own, and an answer that begins inside a thought.

Layout: the chat template of THUDM/GLM-Z1-9B-0414. The template drops calls and results; here they are written as
GLM-4 writes them. ``<think>`` is several tokens in this vocabulary.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from ..chat import Message, Thinking, Tool
from .base import THINK_END, THINK_START, Piece, Prompt, Special, ThinkingSupport
from .glm4 import TOOL_FOOTER, GLM4Format, call_pieces

TOOLS_HEADER = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)
_ROLE = {"user": Special("<|user|>"), "assistant": Special("<|assistant|>"), "tool": Special("<|observation|>")}


class GLMZ1Format(GLM4Format):
    """GLM-Z1. It always thinks, and does not read its earlier thoughts."""

    name: ClassVar[str] = "glm-z1"
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport(on=True, off=False)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        """Writes system messages first, wherever they stand."""
        pieces: list[Piece] = [Special("[gMASK]"), Special("<sop>")]
        systems = [message.content for message in messages if message.role == "system"]
        if tools:
            systems.insert(0, TOOLS_HEADER + "".join(map(_tool_section, tools)))
        for text in systems:
            pieces += [Special("<|system|>"), "\n", text]
        for message in messages:
            if message.role == "system":
                continue
            content = message.content
            if message.role == "assistant":
                content = content.rpartition(THINK_END)[2]
            content = content.strip()
            if content or not message.tool_calls:
                pieces += [_ROLE[message.role], "\n", content]
            pieces += call_pieces(message)
        return Prompt((*pieces, Special("<|assistant|>"), f"\n{THINK_START}"))

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        return (f"{THINK_END}\n", *super().call_opening(name, prompt))


def _tool_section(tool: Tool) -> str:
    schema = json.dumps(tool.function, indent=4, ensure_ascii=False)
    return f"\n## {tool.name}\n\n{schema}\n{TOOL_FOOTER}"
