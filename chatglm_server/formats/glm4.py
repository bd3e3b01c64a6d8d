"""GLM-4-9B: role tokens, tools listed under a Chinese heading, and calls written as ``NAME\\n{json}``.

Layout: the chat template of THUDM/glm-4-9b-chat, in its documented spelling (two line breaks before each ``## NAME``).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import ClassVar

from ..chat import Message, Thinking, Tool
from .base import OutputParser, Piece, Prompt, Special, ThinkingSupport
from .call_grammar import CallGrammar, CallsAfterText
from .inline.json_grammar import json_beginning, json_calls
from .inline.layout import FENCE, OBJECT, CallLayout
from .inline.lone_object import LoneObjectParser
from .inline.parser import InlineCallParser, TextParser
from .inline.python_calls import read_json_call
from .prompt_writer import ASSISTANT, PromptWriter
from .thinking import ThinkingParser

TOOLS_HEADER = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)
TOOL_FOOTER = "在调用上述函数时，请使用 Json 格式表示调用的参数。"

_ROLE = {
    "system": Special("<|system|>"),
    "user": Special("<|user|>"),
    "assistant": ASSISTANT,
    "tool": Special("<|observation|>"),
}


class GLM4Format:
    """GLM-4-9B-chat and files of its type."""

    name: ClassVar[str] = "glm4"
    supports_tools: ClassVar[bool] = True
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport()
    special_tokens: ClassVar[tuple[str, ...]] = (
        *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
        *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
    )
    stop_tokens: ClassVar[tuple[str, ...]] = ("<|endoftext|>", "<|user|>", "<|observation|>", "<|system|>")

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        """Leaves out messages without content, as the template does, but not results: the model must see each."""
        writer = PromptWriter(Special("[gMASK]"), Special("<sop>"))
        if tools:
            writer.add(_ROLE["system"], "\n", TOOLS_HEADER + "".join(map(_tool_section, tools)))
        for message in messages:
            pieces: tuple[Piece, ...] = ()
            if message.content or message.role == "tool":
                pieces = (_ROLE[message.role], "\n", message.content)
            if message.role == "assistant":
                writer.add_answer(message, (*pieces, *call_pieces(message)))
            else:
                writer.add(*pieces)
        return writer.prompt()

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((Special("[gMASK]"), Special("<sop>"), text))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        answer = InlineCallParser(LAYOUT, tools or (), exact=True) if exact else self.text_parser(tools or ())
        return ThinkingParser(answer, inside=prompt_ends_in_think)

    def text_parser(self, tools: Sequence[Tool], numbers: Iterator[int] | None = None) -> TextParser:
        """Returns a fresh parser of an answer behind its thought. `numbers` numbers the calls."""
        numbers = numbers or count()
        return LoneObjectParser(InlineCallParser(LAYOUT, tools, numbers), tools, _ENDS, numbers)

    def answer_lead(self, prompt: Prompt) -> str:
        return r"lead: /\n/" + "\n"

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> CallsAfterText:
        return json_beginning(tools, strict)

    def call_grammar(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallGrammar:
        return json_calls(tools, strict, loose)

    def thought_closing(self) -> tuple[Piece, ...]:
        raise NotImplementedError(f"{self.name} does not think")

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        return ("\n", message.content)

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        return (f"{name}\n", "{")


def _tool_section(tool: Tool) -> str:
    schema = json.dumps(tool.function, indent=4, ensure_ascii=False)
    return f"\n\n## {tool.name}\n\n{schema}\n{TOOL_FOOTER}"


def call_pieces(message: Message) -> Iterator[Piece]:
    """Yields the calls of an earlier answer, each as a message of its own."""
    for call in message.tool_calls:
        arguments = call.arguments
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        yield from (ASSISTANT, f"{call.name}\n", text)


LAYOUT = CallLayout(
    body=rf"(?:{FENCE}\s{{0,64}})?{OBJECT}",
    exact_body=r"\{",
    read=read_json_call,
    role_tokens=frozenset({"<|endoftext|>", *(token.name for token in _ROLE.values())}),
)
_ENDS = LAYOUT.role_tokens - {ASSISTANT.name}
