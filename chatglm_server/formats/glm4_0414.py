"""GLM-4-0414: GLM-4's roles and calls, and tools without an introduction before them.

Layout: the chat template of THUDM/GLM-4-9B-0414, as transformers renders it. The template knows no calls of the OpenAI
API; they are written as the model itself writes them: it puts no blank behind the name, as the template would.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import ClassVar

from ..chat import Message, Thinking, Tool
from .base import Piece, Prompt, Special
from .glm4 import TOOL_FOOTER, GLM4Format, call_pieces
from .prompt_writer import ASSISTANT, PromptWriter

_ROLE = {"user": Special("<|user|>"), "assistant": ASSISTANT, "tool": Special("<|observation|>")}


class GLM40414Format(GLM4Format):
    """GLM-4-9B-0414 and GLM-4-32B-0414."""

    name: ClassVar[str] = "glm4-0414"
    tools_header: ClassVar[str] = "# 可用工具\n"
    opening: ClassVar[tuple[Piece, ...]] = ()
    """What the prompt has behind ``<|assistant|>``."""

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        """Writes system messages first, wherever they stand."""
        writer = PromptWriter(Special("[gMASK]"), Special("<sop>"))
        systems = [message.content for message in messages if message.role == "system"]
        if tools:
            systems.insert(0, self.tools_header + "".join(map(_tool_section, tools)))
        for text in systems:
            writer.add(Special("<|system|>"), "\n", text)
        for message in messages:
            if message.role == "system":
                continue
            content = self.shown(message)
            pieces: tuple[Piece, ...] = ()
            if content or not message.tool_calls:
                pieces = (_ROLE[message.role], "\n", content)
            if message.role == "assistant":
                writer.add_answer(message, (*pieces, *call_pieces(message)))
            else:
                writer.add(*pieces)
        return writer.prompt(*self.opening)

    def shown(self, message: Message) -> str:
        """A message's text as it is written into the prompts of later turns."""
        return message.content


def _tool_section(tool: Tool) -> str:
    schema = json.dumps(tool.function, indent=4, ensure_ascii=False)
    return f"\n## {tool.name}\n\n{schema}\n{TOOL_FOOTER}"
