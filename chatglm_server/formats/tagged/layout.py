"""The layout that GLM-4.5 and later share: tools and calls between tags, and thoughts before an answer.

The facts are those of the models' own chat templates. Roles and tags are single tokens of these models, so they are
special pieces here. A client's text stays text, whatever it spells, and cannot forge one.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from ...chat import Message, Thinking, Tool, ToolCall
from ..base import ENOUGH_THOUGHT, THINK_END, THINK_START, OutputParser, Piece, Prompt, Special, ThinkingSupport
from ..call_grammar import CallGrammar, CallsAfterToken
from ..prompt_writer import ASSISTANT, PromptWriter
from ..scanning.markers import SpecialTokenScanner
from ..tool_names import DeclaredTools
from .answer_text import PlainText
from .grammar import tagged_beginning, tagged_calls
from .parser import TaggedParser
from .tags import CALL_END, CALL_START, CALL_TAGS, KEY_END, KEY_START, VALUE_END, VALUE_START

NO_THINKING = "/nothink"
RESULT_START, RESULT_END = "<tool_response>", "</tool_response>"

TOOLS_HEAD = (
    "\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
)
TOOLS_FOOT = (
    "</tools>\n\nFor each function call, output the function name and arguments within the following XML format:\n"
)

SYSTEM, USER = Special("<|system|>"), Special("<|user|>")
OBSERVATION = Special("<|observation|>")


class TaggedFormat:
    """A generation's layout. A subclass says how it differs."""

    name: ClassVar[str]
    gap: ClassVar[str]
    """Stands between a role or tag and what follows: a line break, or nothing."""
    supports_tools: ClassVar[bool] = True
    thinking: ClassVar[ThinkingSupport] = ThinkingSupport(on=True, keep=True)
    special_tokens: ClassVar[tuple[str, ...]] = (
        *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
        *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
        *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
        *(NO_THINKING, THINK_START, THINK_END, *CALL_TAGS, RESULT_START, RESULT_END),
    )
    stop_tokens: ClassVar[tuple[str, ...]] = ("<|endoftext|>", "<|user|>", "<|observation|>", "<|system|>")

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] = (), thinking: Thinking = Thinking()
    ) -> Prompt:
        writer = PromptWriter(Special("[gMASK]"), Special("<sop>"), *self.head(thinking))
        if tools:
            writer.add(SYSTEM, *self._tools(tools))
        last_question = max((at for at, message in enumerate(messages) if message.role == "user"), default=-1)
        for at, message in enumerate(messages):
            if message.role == "assistant":
                kept = at > last_question or (self.thinking.keep and thinking.clear is False)
                answer = (ASSISTANT, *self._answer(message, with_thought=kept))
                writer.add_answer(message, answer, keeps_thought=kept)
            elif message.role == "tool":
                if at == 0 or messages[at - 1].role != "tool":
                    writer.add(OBSERVATION)
                writer.add(self.gap, Special(RESULT_START), self.gap, message.content, self.gap, Special(RESULT_END))
            elif message.role == "user":
                writer.add(USER, self.gap, *self.question(message.content, thinking))
            else:
                writer.add(SYSTEM, self.gap, message.content)
        return writer.prompt(*self.opening(thinking))

    def bare_prompt(self, text: str) -> Prompt:
        return Prompt((Special("[gMASK]"), Special("<sop>"), text))

    def parser(
        self, tools: Sequence[Tool] | None = (), *, prompt_ends_in_think: bool = False, exact: bool = False
    ) -> OutputParser:
        declared = DeclaredTools(tools) if tools or tools is None else None
        return TaggedParser(declared, PlainText(self.gap), inside=prompt_ends_in_think, exact=exact)

    def answer_lead(self, prompt: Prompt) -> str:
        thought = f"/(?s:.*)/ {THINK_END}" if prompt.ends_in_think else ""
        return f"lead: {thought} {json.dumps(self.gap)}\n"

    def call_beginning(self, tools: Sequence[Tool], strict: Collection[str], prompt: Prompt) -> CallsAfterToken:
        return tagged_beginning(tools)

    def call_grammar(self, tools: Sequence[Tool], strict: Collection[str], loose: Collection[str]) -> CallGrammar:
        return tagged_calls(tools, strict, loose)

    def thought_closing(self) -> tuple[Piece, ...]:
        return (ENOUGH_THOUGHT, Special(THINK_END))

    def text_opening(self, message: Message, prompt: Prompt) -> tuple[Piece, ...]:
        thought = (message.reasoning,) if message.reasoning and prompt.ends_in_think else ()
        return (*thought, *self.unthought(prompt), *((self.gap,) if self.gap else ()), message.content)

    def call_opening(self, name: str, prompt: Prompt) -> tuple[Piece, ...]:
        """Ends the name with a line break. The models read it, and may also do without."""
        return (*self.unthought(prompt), self.gap, Special(CALL_START), f"{name}\n")

    # ---- differences between generations ----

    def head(self, thinking: Thinking) -> Iterable[Piece]:
        """Returns what stands before the tools."""
        return ()

    def question(self, text: str, thinking: Thinking) -> Iterable[Piece]:
        """Returns a user's message."""
        return (text,)

    def thought(self, reasoning: str) -> Iterable[Piece]:
        """Returns the thought before an earlier answer. `reasoning` is "" without one, or if it is not kept."""
        raise NotImplementedError

    def opening(self, thinking: Thinking) -> Iterable[Piece]:
        """Returns the beginning of the next answer."""
        raise NotImplementedError

    def unthought(self, prompt: Prompt) -> Iterable[Piece]:
        """Returns what stands between `prompt` and an answer without a thought. It ends an open thought."""
        return (Special(THINK_END),) if prompt.ends_in_think else ()

    def declaration(self, tool: Tool) -> dict[str, Any] | None:
        """Returns a tool as the model reads it, or None if the model does not get to know it."""
        return {"type": "function", "function": tool.function}

    def _tools(self, tools: Sequence[Tool]) -> Iterator[Piece]:
        declarations = map(self.declaration, tools)
        lines = (json.dumps(one, ensure_ascii=False) + "\n" for one in declarations if one is not None)
        yield TOOLS_HEAD + "".join(lines) + TOOLS_FOOT
        arguments = "".join(
            f"{KEY_START}{{arg-key-{number}}}{KEY_END}{self.gap}{VALUE_START}{{arg-value-{number}}}{VALUE_END}{self.gap}"
            for number in (1, 2)
        )
        yield from _with_tags(f"{CALL_START}{{function-name}}{self.gap}{arguments}...{self.gap}{CALL_END}")

    def _answer(self, message: Message, *, with_thought: bool) -> Iterator[Piece]:
        reasoning, content = self.split_thought(message)
        yield self.gap
        yield from self.thought(reasoning if with_thought else "")
        content = content.strip()
        if content:
            yield from (self.gap, content)
        for call in message.tool_calls:
            yield from (self.gap, Special(CALL_START), call.name, self.gap)
            yield from self._arguments(call)
            yield Special(CALL_END)

    def _arguments(self, call: ToolCall) -> Iterator[Piece]:
        if not isinstance(call.arguments, Mapping):  # the client's text is not an object: the model reads it unchanged
            yield from (call.arguments, self.gap)
            return
        for key, value in call.arguments.items():
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield from (Special(KEY_START), key, Special(KEY_END), self.gap)
            yield from (Special(VALUE_START), text, Special(VALUE_END), self.gap)

    def split_thought(self, message: Message) -> tuple[str, str]:
        """Returns reasoning and content of an earlier answer. Clients may send the one inside the other."""
        if message.reasoning or THINK_END not in message.content:
            return message.reasoning, message.content
        reasoning = message.content.split(THINK_END, 1)[0]
        return reasoning.rpartition(THINK_START)[2], message.content.rpartition(THINK_END)[2]


def _with_tags(text: str) -> list[Piece]:
    """Returns the layout's own text with its tags as special pieces."""
    scanner = SpecialTokenScanner(CALL_TAGS)
    return [*scanner.feed(text), *scanner.flush()]
