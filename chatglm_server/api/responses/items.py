"""The items of an answer, each with the events that open it, fill it and close it, in the order clients rely on.

The events here lack what only the stream knows: ``output_index`` and ``sequence_number``.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Literal, Protocol

from ..dialect import Json
from ..sealed_thoughts import sealed
from .custom_input import InputReader, custom_input
from .tools import OfferedTool

Status = Literal["in_progress", "completed", "incomplete"]


class Item(Protocol):
    """An item of the answer while it is generated."""

    def open(self) -> Iterator[Json]:
        """The events after the one that adds the item."""
        ...

    def add(self, text: str, logprobs: Sequence[Json] = ()) -> Iterator[Json]:
        """The event for more of the item's text, which has `logprobs`. Mutates the item."""
        ...

    def close(self, status: Status) -> Iterator[Json]:
        """The events before the one that says that the item is done."""
        ...

    def object(self, status: Status) -> Json:
        """The item itself, with its text so far."""
        ...


@dataclass(frozen=True, slots=True)
class Section:
    """The one part of an item that has its text: the names of its events, and of its index in them.

    `has_logprobs`: clients want the list of log probabilities there, though it may be empty.
    """

    part_event: str
    text_event: str
    index: str
    part: Json
    has_logprobs: bool = False

    def with_text(self, text: str, logprobs: Sequence[Json] = ()) -> Json:
        """The part with `text`."""
        return {**self.part, "text": text, **self.with_logprobs(logprobs)}

    def with_logprobs(self, logprobs: Sequence[Json]) -> Json:
        """The field that holds `logprobs`, if there is one."""
        return {"logprobs": list(logprobs)} if self.has_logprobs else {}


OUTPUT_TEXT = Section(
    "response.content_part",
    "response.output_text",
    "content_index",
    {"type": "output_text", "text": "", "annotations": []},
    has_logprobs=True,
)
REASONING_TEXT = Section(
    "response.content_part", "response.reasoning_text", "content_index", {"type": "reasoning_text"}
)
SUMMARY_TEXT = Section(
    "response.reasoning_summary_part", "response.reasoning_summary_text", "summary_index", {"type": "summary_text"}
)


class TextItem:
    """An item with one part, which is text."""

    def __init__(self, prefix: str, section: Section) -> None:
        self.id = prefix + secrets.token_hex(12)
        self._section = section
        self._text = StringIO()
        self._logprobs: list[Json] = []
        self._place: Json = {"item_id": self.id, section.index: 0}

    @property
    def text(self) -> str:
        return self._text.getvalue()

    def open(self) -> Iterator[Json]:
        section = self._section
        yield {"type": f"{section.part_event}.added", **self._place, "part": section.with_text("")}

    def add(self, text: str, logprobs: Sequence[Json] = ()) -> Iterator[Json]:
        self._text.write(text)
        self._logprobs += logprobs
        likely = self._section.with_logprobs(logprobs)
        yield {"type": f"{self._section.text_event}.delta", **self._place, "delta": text, **likely}

    def close(self, status: Status) -> Iterator[Json]:
        section = self._section
        likely = section.with_logprobs(self._logprobs)
        yield {"type": f"{section.text_event}.done", **self._place, "text": self.text, **likely}
        yield {"type": f"{section.part_event}.done", **self._place, "part": self._part}

    @property
    def _part(self) -> Json:
        return self._section.with_text(self.text, self._logprobs)

    def _parts(self, status: Status) -> list[Json]:
        """The item's parts: none before the first has been added."""
        return [] if status == "in_progress" else [self._part]


class MessageItem(TextItem):
    """Text for the user."""

    def __init__(self) -> None:
        super().__init__("msg_", OUTPUT_TEXT)

    def object(self, status: Status) -> Json:
        content = self._parts(status)
        return {"type": "message", "id": self.id, "status": status, "role": "assistant", "content": content}


class ThoughtItem(TextItem):
    """A thought, as a summary if the client shows summaries (`as_summary`), and also `sealed` if it asks for that."""

    def __init__(self, *, as_summary: bool, sealed: bool) -> None:
        super().__init__("rs_", SUMMARY_TEXT if as_summary else REASONING_TEXT)
        self._as_summary = as_summary
        self._sealed = sealed

    def object(self, status: Status) -> Json:
        parts = self._parts(status)
        item: Json = {"type": "reasoning", "id": self.id, "summary": parts if self._as_summary else []}
        if not self._as_summary:
            item["content"] = parts
        if self._sealed:
            item["encrypted_content"] = sealed(self.text)
        return item | {"status": status}


class CallItem:
    """A call of a function. `call_id` is what the result names, `id` is the item's own."""

    def __init__(self, tool: OfferedTool, call_id: str, prefix: str = "fc_") -> None:
        self.id = prefix + secrets.token_hex(12)
        self._tool = tool
        self._call_id = call_id
        self._arguments = StringIO()

    @property
    def arguments(self) -> str:
        """JSON text."""
        return self._arguments.getvalue()

    def open(self) -> Iterator[Json]:
        yield from ()

    def add(self, text: str, logprobs: Sequence[Json] = ()) -> Iterator[Json]:
        self._arguments.write(text)
        yield {"type": "response.function_call_arguments.delta", "item_id": self.id, "delta": text}

    def close(self, status: Status) -> Iterator[Json]:
        said = {"arguments": self.arguments, "name": self._tool.name}
        yield {"type": "response.function_call_arguments.done", "item_id": self.id, **said}

    def object(self, status: Status) -> Json:
        return self._object("function_call", status, {"arguments": self.arguments})

    def _object(self, kind: str, status: Status, said: Json) -> Json:
        tool = self._tool
        named = {"name": tool.name} if tool.namespace is None else {"name": tool.name, "namespace": tool.namespace}
        return {"type": kind, "id": self.id, "call_id": self._call_id, **named, **said, "status": status}


class CustomCallItem(CallItem):
    """A call of a custom tool: the model writes its input as JSON text, clients read plain text.

    Of a call that was cut off, the input is never done, and the item has none: clients would use what there is of it.
    """

    def __init__(self, tool: OfferedTool, call_id: str) -> None:
        super().__init__(tool, call_id, "ctc_")
        self._reader = InputReader()
        self._sent = StringIO()

    def add(self, text: str, logprobs: Sequence[Json] = ()) -> Iterator[Json]:
        self._arguments.write(text)
        yield from self._delta(self._reader.add(text))

    def close(self, status: Status) -> Iterator[Json]:
        if status == "completed":
            text = self._input(status)
            # nothing was sent of an input that is not the first argument, or not a string
            yield from self._delta(text.removeprefix(self._sent.getvalue()))
            yield {"type": "response.custom_tool_call_input.done", "item_id": self.id, "input": text}

    def _delta(self, text: str) -> Iterator[Json]:
        if text:
            self._sent.write(text)
            yield {"type": "response.custom_tool_call_input.delta", "item_id": self.id, "delta": text}

    def object(self, status: Status) -> Json:
        return self._object("custom_tool_call", status, {"input": self._input(status)})

    def _input(self, status: Status) -> str:
        return custom_input(self.arguments) if status == "completed" else ""
