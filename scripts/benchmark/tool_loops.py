"""Agents' conversations by every API: calls of tools and their results, as clients write them, each with its habit."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

Json = dict[str, Any]

_TEXTS = Path(__file__).parent / "texts"
INSTRUCTIONS = (_TEXTS / "document.txt").read_text(encoding="utf-8")
_RESULTS = (_TEXTS / "code.txt").read_text(encoding="utf-8").splitlines()
_LINES = 4
"""Of a tool's result."""
_NAMES = [f"{verb}_{noun}" for verb in ("read", "write", "find", "list") for noun in ("file", "page", "note")]
_DESCRIPTION = (
    "Use it if the work needs it, and say before what you expect. The path goes from the project's folder on. "
    "If it fails, read the message and try what it says, once. Do not use it to guess. "
)
PARAMETERS: Json = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "description": "Where it is, from the project's folder on."},
        "line": {"type": "integer", "description": "The first line that is wanted."},
        "exact": {"type": "boolean", "description": "Whether blanks count."},
    },
    "required": ["path"],
}
TOOLS: list[Json] = [
    {"name": name, "description": f"{name.replace('_', ' ')}. {_DESCRIPTION}", "parameters": PARAMETERS}
    for name in _NAMES
]
QUESTION = "Find the mistake in the cache."


def said(turn: int) -> str:
    """What the model says in a turn, as GLM-4.7 may, but not as its layout does. Each third turn has no text."""
    text = "" if turn % 3 == 2 else f"See {turn}.\n\nThen.\n"
    return (
        f"Page {turn}.</think>{text}<tool_call>read_page<arg_key>line</arg_key><arg_value>{turn + 1}"
        f"</arg_value>\n<arg_key>path</arg_key><arg_value>pages/{turn}</arg_value></tool_call><|observation|>"
    )


def result(turn: int) -> str:
    """What the tool returns in a turn."""
    start = _LINES * turn % (len(_RESULTS) - _LINES)
    return "\n".join(_RESULTS[start : start + _LINES])


@dataclass(frozen=True)
class Habit:
    """What a client does to an answer before it sends it back. `needs` names what an API's answers must have for it."""

    name: str
    needs: str = ""
    keeps_thoughts: bool = True
    trims: bool = False
    sorts_keys: bool = False
    indent: int | None = None
    adds_defaults: bool = False
    empty_text: bool = False
    """Text that is not there is ""."""
    parts: bool = False
    """Text comes in several parts."""
    new_ids: bool = False

    def text(self, text: str) -> str:
        return text.strip() if self.trims else text

    def texts(self, text: str) -> list[str]:
        """The parts of a text, each with the blanks that it begins with."""
        if not self.parts:
            return [self.text(text)]
        cut = text.find("\n\n")
        return [text[:cut], text[cut:]] if cut > 0 else [text]

    def arguments(self, arguments: Json) -> Json:
        if self.adds_defaults:
            arguments = {"exact": False} | arguments
        return dict(sorted(arguments.items(), reverse=True)) if self.sorts_keys else arguments

    def json(self, text: str) -> str:
        """Arguments that an API has as text."""
        if not (self.sorts_keys or self.indent or self.adds_defaults):
            return text
        return json.dumps(self.arguments(json.loads(text)), indent=self.indent)

    def id(self, id_: str) -> str:
        return f"call_{sum(id_.encode()):08d}x{len(id_)}" if self.new_ids else id_


HABITS = (
    Habit("sends all back as it is"),
    Habit("drops thoughts", keeps_thoughts=False),
    Habit("puts keys into another order", sorts_keys=True),
    Habit("indents arguments", needs="text", indent=2),
    Habit("adds defaults to arguments", adds_defaults=True),
    Habit('sends "" for no text', needs="null", empty_text=True),
    Habit("sends text in several parts", needs="parts", parts=True),
    Habit("gives calls other ids", needs="ids", new_ids=True),
    Habit("drops thoughts, trims text, sorts and indents", keeps_thoughts=False, trims=True, sorts_keys=True, indent=2),
)


class Chat:
    """A conversation by OpenAI's chat completions."""

    name: ClassVar[str] = "chat completions"
    path: ClassVar[str] = "/v1/chat/completions"
    has: ClassVar[frozenset[str]] = frozenset({"text", "null", "parts", "ids"})

    def __init__(self, habit: Habit, instructions: str = INSTRUCTIONS, tools: Sequence[Json] = TOOLS) -> None:
        self.habit = habit
        self.instructions = instructions
        self.tools = tools
        question = f"{QUESTION} I am a client by {self.name} that {habit.name}."  # no conversation knows another's
        self.history: list[Json] = [{"role": "user", "content": question}]

    @classmethod
    def can(cls, habit: Habit) -> bool:
        """True if the habit makes a difference with this API."""
        return not habit.needs or habit.needs in cls.has

    def body(self) -> Json:
        messages = [{"role": "system", "content": self.instructions}, *self.history]
        return {"messages": messages, "tools": [{"type": "function", "function": tool} for tool in self.tools]}

    def ask(self, text: str) -> None:
        """Add a user's message."""
        self.history.append({"role": "user", "content": text})

    def go_on(self, answer: Json, result: str) -> str:
        """Add an answer, and the result of its call. Returns the path that the call names."""
        message = answer["choices"][0]["message"]
        (call,) = message["tool_calls"]
        id_, arguments = self.habit.id(call["id"]), call["function"]["arguments"]
        function = call["function"] | {"arguments": self.habit.json(arguments)}
        text = message.get("content")
        turn: Json = {"role": "assistant", "content": "" if self.habit.empty_text else None}
        if text and self.habit.parts:
            turn["content"] = [{"type": "text", "text": part} for part in self.habit.texts(text)]
        elif text:
            turn["content"] = self.habit.text(text)
        turn["tool_calls"] = [call | {"id": id_, "function": function}]
        if self.habit.keeps_thoughts and message.get("reasoning_content"):
            turn["reasoning_content"] = message["reasoning_content"]
        self.history += [turn, {"role": "tool", "tool_call_id": id_, "content": result}]
        return str(json.loads(arguments)["path"])


class Messages(Chat):
    """A conversation by Anthropic's API."""

    name = "Messages"
    path = "/v1/messages"
    has = frozenset({"parts", "ids"})

    def body(self) -> Json:
        tools = [{"input_schema" if key == "parameters" else key: tool[key] for key in tool} for tool in self.tools]
        system = [{"type": "text", "text": self.instructions, "cache_control": {"type": "ephemeral"}}]
        return {"model": "claude", "max_tokens": 500, "system": system, "messages": self.history, "tools": tools}

    def go_on(self, answer: Json, result: str) -> str:
        blocks: list[Json] = []
        for block in answer["content"]:
            if block["type"] == "tool_use":
                path, id_ = block["input"]["path"], self.habit.id(block["id"])
                blocks.append(block | {"id": id_, "input": self.habit.arguments(block["input"])})
            elif block["type"] == "text":
                blocks += (block | {"text": part} for part in self.habit.texts(block["text"]))
            elif self.habit.keeps_thoughts:
                blocks.append(block)
        returned = {"type": "tool_result", "tool_use_id": id_, "content": result}
        self.history += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [returned]}]
        return str(path)


class Responses(Chat):
    """A conversation by OpenAI's responses, without a store."""

    name = "Responses"
    path = "/v1/responses"
    has = frozenset({"text", "parts", "ids"})

    def body(self) -> Json:
        return {
            "instructions": self.instructions,
            "input": self.history,
            "tools": [{"type": "function", **tool} for tool in self.tools],
            "store": False,
            "include": ["reasoning.encrypted_content"],
        }

    def go_on(self, answer: Json, result: str) -> str:
        for item in answer["output"]:
            if item["type"] == "function_call":
                path, id_ = json.loads(item["arguments"])["path"], self.habit.id(item["call_id"])
                self.history.append(item | {"call_id": id_, "arguments": self.habit.json(item["arguments"])})
                self.history.append({"type": "function_call_output", "call_id": id_, "output": result})
            elif item["type"] == "message":
                (part,) = item["content"]
                self.history.append(
                    item | {"content": [part | {"text": one} for one in self.habit.texts(part["text"])]}
                )
            elif self.habit.keeps_thoughts:
                self.history.append(item)
        return str(path)


class Ollama(Chat):
    """A conversation by Ollama's API."""

    name = "Ollama"
    path = "/api/chat"
    has = frozenset()

    def body(self) -> Json:
        return super().body() | {"model": "default-model", "stream": False}

    def go_on(self, answer: Json, result: str) -> str:
        message = answer["message"]
        (call,) = message["tool_calls"]
        function = call["function"] | {"arguments": self.habit.arguments(call["function"]["arguments"])}
        turn = message | {"content": self.habit.text(message["content"]), "tool_calls": [call | {"function": function}]}
        if not self.habit.keeps_thoughts:
            turn.pop("thinking", None)
        self.history += [turn, {"role": "tool", "tool_name": call["function"]["name"], "content": result}]
        return str(call["function"]["arguments"]["path"])


DIALECTS: tuple[type[Chat], ...] = (Chat, Messages, Responses, Ollama)
