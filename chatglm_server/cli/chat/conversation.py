"""The conversation so far: what was asked, answered and called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ...answer import Answer
from ...chat import Message, ToolCall
from ...json_text import NotAnObject, join_surrogates, load_object


class Conversation:
    """Messages behind a system prompt, which may be "". A question without an answer is the last message."""

    def __init__(self, system: str = "") -> None:
        self.system = system
        self._messages: list[Message] = []

    @property
    def messages(self) -> tuple[Message, ...]:
        """All that the model is shown."""
        system = (Message("system", join_surrogates(self.system)),) if self.system else ()
        return (*system, *self._messages)

    def ask(self, question: str) -> None:
        """Add a question, in place of one without an answer. Bytes that are not text become U+FFFD. Mutates this."""
        if self._messages and self._messages[-1].role == "user":
            self._messages.pop()
        self._messages.append(Message("user", join_surrogates(question)))

    def take_back(self) -> bool:
        """Forget what followed the last question. False if there was none. Mutates this."""
        while self._messages and self._messages[-1].role != "user":
            self._messages.pop()
        return bool(self._messages)

    def clear(self) -> None:
        """Forget all but the system prompt. Mutates this."""
        self._messages.clear()

    def add_answer(self, answer: Answer) -> tuple[ToolCall, ...]:
        """Add what the model wrote. Returns its calls. Mutates this."""
        calls = tuple(ToolCall(call.id, call.name, _arguments(call.arguments)) for call in answer.tool_calls)
        self._messages.append(Message("assistant", answer.content, calls, reasoning=answer.reasoning))
        return calls

    def add_part(self, answer: Answer) -> None:
        """Keep the text of an answer that was stopped. Without text, the question stays unanswered. Mutates this."""
        self.take_back()
        if answer.content.strip():
            self._messages.append(Message("assistant", answer.content, reasoning=answer.reasoning))

    def add_result(self, call: ToolCall, result: str) -> None:
        """Add what a call returned. Mutates this."""
        self._messages.append(Message("tool", result, tool_call_id=call.id, name=call.name))

    def save(self, path: Path) -> None:
        """Write a new file: OpenAI's messages if its name ends in .json, else Markdown. Raises: OSError."""
        if path.suffix.lower() == ".json":
            text = json.dumps({"messages": [*map(_openai, self.messages)]}, ensure_ascii=False, indent=2)
        else:
            text = "\n\n".join(map(_markdown, self.messages))
        with path.open("x", encoding="utf-8") as file:
            file.write(join_surrogates(text) + "\n")


def arguments_text(call: ToolCall) -> str:
    """A call's arguments as JSON, in one line."""
    return call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)


def _arguments(text: str) -> dict[str, Any] | str:
    try:
        return load_object(text)
    except NotAnObject:
        return text


def _openai(message: Message) -> dict[str, Any]:
    """A message of OpenAI's chat API."""
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.reasoning:
        fields["reasoning_content"] = message.reasoning
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments_text(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _markdown(message: Message) -> str:
    calls = [f"`{call.name} {arguments_text(call)}`" for call in message.tool_calls]
    return "\n\n".join([f"## {message.role}", *filter(None, [message.content]), *calls])
