"""ChatGLM3: role tokens, a metadata line, and tool calls written as a fenced Python expression.

Layout (THUDM/ChatGLM3, PROMPT.md): ``[gMASK]sop``, then for each message a role token, the metadata, a newline and the
content. The metadata of an assistant message is empty for text, a tool's name for a call, ``interpreter`` for code.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import ClassVar

from ..chat import Message, Thinking, Tool, ToolCall
from .base import OutputParser, Piece, Prompt, Special, ThinkingSupport
from .call_grammar import CallGrammar, CallsAfterText
from .inline.layout import FENCE, OBJECT, CallLayout
from .inline.parser import InlineCallParser, TextParser
from .inline.python_calls import CALL_NAME, read_python_call
from .inline.python_grammar import python_beginning, python_calls
from .prompt_writer import ASSISTANT, PromptWriter

TOOLS_HEADER = "Answer the following questions as best as you can. You have access to the following tools:\n"
INTERPRETER = "interpreter"
INTERPRETER_TOOLS = ("interpreter", "code_interpreter")
"""Tool names that stand for the code interpreter the model was trained with."""

_ROLE = {
    "system": Special("<|system|>"),
    "user": Special("<|user|>"),
    "assistant": ASSISTANT,
    "tool": Special("<|observation|>"),
}


class ChatGLM3Format:
    """ChatGLM3-6B and its long-context variants."""

    name: ClassVar[str] = "chatglm3"
    supports_tools: ClassVar[bool] = True
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport()
    special_tokens: ClassVar[tuple[str, ...]] = (
        *("[MASK]", "[gMASK]", "[sMASK]", "sop", "eop"),
        *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    )
    stop_tokens: ClassVar[tuple[str, ...]] = ("<|user|>", "<|observation|>", "<|system|>")

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        """Writes tools as a system message of their own, worded as in training, before the client's."""
        writer = PromptWriter(Special("[gMASK]"), Special("sop"))
        if tools:
            functions = json.dumps([tool.function for tool in tools], indent=4, ensure_ascii=False)
            writer.add(_ROLE["system"], "\n", TOOLS_HEADER + functions)
        interpreter_calls: set[str] = set()
        for message in messages:
            if message.role == "assistant":
                writer.add_answer(message, _assistant(message))
                interpreter_calls.update(call.id for call in message.tool_calls if call.name in INTERPRETER_TOOLS)
            elif message.role == "tool" and message.tool_call_id in interpreter_calls:
                writer.add(_ROLE["tool"], "\n", f"```result\n{message.content}\n```")
            else:
                writer.add(_ROLE[message.role], "\n", message.content)
        return writer.prompt()

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((Special("[gMASK]"), Special("sop"), text))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        """ChatGLM3 does not think aloud: `prompt_ends_in_think` changes nothing."""
        return InlineCallParser(LAYOUT, tools or (), exact=exact)

    def text_parser(self, tools: Sequence[Tool], numbers: Iterator[int] | None = None) -> TextParser:
        """Returns a fresh parser of an answer. `numbers` numbers the calls."""
        return InlineCallParser(LAYOUT, tools, numbers)

    def answer_lead(self, prompt: Prompt) -> str:
        """The line of metadata is empty. SentencePiece puts blanks before both lines."""
        return r"lead: / ?\n ?/" + "\n"

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> CallsAfterText | None:
        return python_beginning(tools, strict, INTERPRETER_TOOLS)

    def call_grammar(
        self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]
    ) -> CallGrammar | None:
        return python_calls(tools, strict, loose, INTERPRETER_TOOLS)

    def thought_closing(self) -> tuple[Piece, ...]:
        raise NotImplementedError(f"{self.name} does not think")

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        return ("\n", message.content)

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        if name in INTERPRETER_TOOLS:
            return (f"{INTERPRETER}\n", "```python\n")
        return (f"{name}\n", "```python\ntool_call(")


def _assistant(message: Message) -> Iterator[Piece]:
    if message.content or not message.tool_calls:
        yield from (ASSISTANT, "\n", message.content)
    for call in message.tool_calls:
        name = INTERPRETER if call.name in INTERPRETER_TOOLS else call.name
        yield from (ASSISTANT, f"{name}\n", f"```python\n{_python_call(call)}\n```")


def _python_call(call: ToolCall) -> str:
    arguments = call.arguments
    if isinstance(arguments, str):  # the client's text is not an object: the model reads it unchanged
        return f"tool_call({arguments})"
    if call.name in INTERPRETER_TOOLS and len(arguments) == 1:
        (code,) = arguments.values()
        return str(code)
    return "tool_call(" + ", ".join(f"{key}={value!r}" for key, value in arguments.items()) + ")"


LAYOUT = CallLayout(
    body=rf"(?:{FENCE}\s{{0,64}})?(?:(?:{CALL_NAME}|(?P=name))\s{{0,16}}\(|{OBJECT})",
    exact_body=rf" ?```python\n ?{CALL_NAME}\(",
    undeclared_body=rf"(?:{FENCE}\s{{0,64}})?{CALL_NAME}\s{{0,16}}\(",
    read=read_python_call,
    interpreter=INTERPRETER,
    interpreter_tools=INTERPRETER_TOOLS,
    placeholders=(("[[训练时间]]", "2023年"),),
    role_tokens=frozenset(token.name for token in _ROLE.values()),
)
