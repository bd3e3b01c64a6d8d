"""From the items of the Responses API to the messages of chat completions, whose reader goes on from there.

Items that follow each other make one turn: a thought, the text after it, and the calls after that.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ...chat import Message
from ...errors import InvalidRequest
from ...log_once import log_once
from ..openai.conversation import MAX_MESSAGES, TEXT_PARTS, read_messages
from ..sealed_thoughts import unsealed
from ..validation import read
from .custom_input import custom_arguments
from .tools import Name, flat_name

MAX_ITEMS = 4 * MAX_MESSAGES
"""A turn has up to four kinds of items: a thought, text, calls, and their results."""

_MESSAGE = re.compile(r"messages(?:\[(\d+)\])?")
_IMAGES = ("input_image", "computer_screenshot")


class TextPart(BaseModel):
    """A part of a thought."""

    text: str


Parts = Annotated[list[TextPart], Field(fail_fast=True)]


class ReasoningItem(BaseModel):
    """A thought: as this server sealed it, as its text, or as a summary."""

    type: Literal["reasoning"]
    summary: Parts = []
    content: Parts | None = None
    encrypted_content: str | None = None

    @property
    def text(self) -> str:
        """The thought, or "" if only another server can read it."""
        whole = unsealed(self.encrypted_content) if self.encrypted_content else None
        return "\n\n".join(part.text for part in self.content or self.summary) if whole is None else whole


class FunctionCallItem(BaseModel):
    """A call; `arguments` is JSON text."""

    type: Literal["function_call"]
    call_id: str
    name: Name
    namespace: Name | None = None
    arguments: str | dict[str, Any] | None = None


class CustomCallItem(BaseModel):
    """A call of a custom tool with plain text."""

    type: Literal["custom_tool_call"]
    call_id: str
    name: Name
    namespace: Name | None = None
    input: str = ""


class CallOutputItem(BaseModel):
    """What a call gave: text, or parts."""

    type: Literal["function_call_output", "custom_tool_call_output"]
    call_id: str
    output: str | Annotated[list[dict[str, Any]], Field(fail_fast=True)]


class Conversation:
    """The items read so far, as messages of chat completions, each with the place of its first item."""

    def __init__(self, instructions: str | None) -> None:
        self._messages: list[dict[str, Any]] = []
        self._places: list[str] = []
        if instructions:
            self._append({"role": "system", "content": instructions}, "instructions")

    def messages(self, *, foreign: bool) -> tuple[Message, ...]:
        """The nouns. `foreign`: another server reads them too. Raises: InvalidRequest, in the client's words."""
        try:
            return read_messages(self._messages, foreign=foreign)
        except InvalidRequest as error:
            if error.param is not None:
                said, error.param = error.param, self.field_of(error.param)
                error.message = f"{error.param}: {error.message.removeprefix(f'{said}: ')}"
            raise

    def field_of(self, noun: str) -> str:
        """The place in the client's body of what ``messages[…]…`` names."""
        match = _MESSAGE.match(noun)
        if match is None:
            return noun
        place = "input" if match[1] is None else self._places[int(match[1])]
        return place + noun[match.end() :]

    def add(self, item: Any, place: str) -> None:
        """Append the item that stands at `place`. Raises: InvalidRequest."""
        if not isinstance(item, dict):
            raise InvalidRequest(f"{place}: an item is an object", param=place)
        kind = item.get("type") or ("message" if "role" in item else None)
        if kind == "message":
            self._add_message(item, place)
        elif kind == "reasoning":
            self._add_thought(read(ReasoningItem, item, place), place)
        elif kind == "function_call":
            call: FunctionCallItem = read(FunctionCallItem, item, place)
            self._add_call(call, call.arguments, place)
        elif kind == "custom_tool_call":
            custom: CustomCallItem = read(CustomCallItem, item, place)
            self._add_call(custom, custom_arguments(custom.input), place)
        elif kind in ("function_call_output", "custom_tool_call_output"):
            result: CallOutputItem = read(CallOutputItem, item, place)
            content = (
                result.output if isinstance(result.output, str) else [_result_part(part) for part in result.output]
            )
            self._append({"role": "tool", "tool_call_id": result.call_id, "content": content}, place)
        elif kind == "item_reference":
            raise InvalidRequest(f"{place}: this server keeps no items; send the item itself", param=place)
        elif isinstance(kind, str):
            log_once(f"skipping input items of the type {kind[:64]!r}")
        else:
            raise InvalidRequest(f'{place}: an item has a "type" or a "role"', param=place)

    def _add_message(self, item: dict[str, Any], place: str) -> None:
        role, content = item.get("role"), item.get("content")
        if isinstance(content, list):
            content = [_part(part) for part in content]
        # Developers speak as the system does; most servers and templates know no other name for it.
        message = {"role": "system" if role == "developer" else role, "content": content}
        last = self._answer()
        if role == "assistant" and last is not None and last["content"] is None and "tool_calls" not in last:
            last["content"] = content
        else:
            self._append(message, place)

    def _add_thought(self, item: ReasoningItem, place: str) -> None:
        if item.text:
            self._append({"role": "assistant", "content": None, "reasoning_content": item.text}, place)

    def _add_call(self, item: FunctionCallItem | CustomCallItem, arguments: object, place: str) -> None:
        function = {"name": flat_name(item.name, item.namespace), "arguments": arguments}
        answer = self._answer()
        if answer is None:
            answer = {"role": "assistant", "content": None}
            self._append(answer, place)
        answer.setdefault("tool_calls", []).append({"id": item.call_id, "type": "function", "function": function})

    def _answer(self) -> dict[str, Any] | None:
        """The last message, if it is the assistant's."""
        last = self._messages[-1] if self._messages else None
        return last if last is not None and last["role"] == "assistant" else None

    def _append(self, message: dict[str, Any], place: str) -> None:
        self._messages.append(message)
        self._places.append(place)


def read_conversation(value: Any, instructions: str | None) -> Conversation:
    """Reads ``input`` and ``instructions``. Raises: InvalidRequest."""
    conversation = Conversation(instructions)
    if isinstance(value, str):
        conversation.add({"role": "user", "content": value}, "input")
        return conversation
    if not isinstance(value, list) or not value:
        raise InvalidRequest("input: must be a text or a list of at least one item", param="input")
    if len(value) > MAX_ITEMS:
        raise InvalidRequest(f"input: at most {MAX_ITEMS} items, not {len(value)}", param="input")
    for number, item in enumerate(value):
        conversation.add(item, f"input[{number}]")
    return conversation


def _part(part: Any) -> Any:
    """A part of a message's content, as chat completions have it."""
    if not isinstance(part, dict):
        return part
    if part.get("type") in TEXT_PARTS:
        return {"type": "text", "text": part.get("text")}
    if part.get("type") == "input_image" and isinstance(part.get("image_url"), str):
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part.get("detail") or "auto"}}
    return part


def _result_part(part: dict[str, Any]) -> dict[str, Any]:
    """A part of a call's result. Only its text is read: a result must not end a session for an image in it."""
    kind = part.get("type")
    if kind in TEXT_PARTS:
        return {"type": "text", "text": part.get("text")}
    return {"type": "text", "text": "[image]" if kind in _IMAGES else "[file]"}
