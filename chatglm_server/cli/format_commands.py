"""The chat formats on the command line: recorded model text to messages, conversations to prompts, as JSON Lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, BinaryIO

from ..answer import Answer
from ..api.openai import conversation, tools
from ..chat import FinishReason, Message, ParserEvent, Thinking, Tool
from ..errors import InvalidRequest
from ..formats.base import CannotRender, ChatFormat, OutputParser
from ..formats.registry import FORMATS
from ..formats.scanning.markers import SpecialTokenScanner
from ..json_text import join_surrogates
from .commands import ParseOptions, RenderOptions

Json = dict[str, Any]
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "stop"}


class BadLine(ValueError):
    """A line that does not say what it should; the message names the field."""


def parse(options: ParseOptions) -> int:
    """Run ``chatglm-server parse``. Returns the exit status: 1 if a line cannot be read."""
    return run_lines(partial(parse_line, chunk_size=options.chunk_size), sys.stdin.buffer, sys.stdout.buffer)


def render(_: RenderOptions) -> int:
    """Run ``chatglm-server render``. Returns the exit status: 1 if a line cannot be read."""
    return run_lines(render_line, sys.stdin.buffer, sys.stdout.buffer)


def run_lines(convert: Callable[[Json], Json], lines: Iterable[bytes], out: BinaryIO) -> int:
    """Writes what `convert` makes of each line; for a bad one, an error object to stderr. Returns the exit status."""
    status = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            result = json.dumps(convert(_read(line)), ensure_ascii=False)
        except (
            InvalidRequest,
            ValueError,
            RecursionError,
        ) as error:  # the latter two are also JSON's and Unicode's own
            status = 1
            param = f"{error.param}: " if isinstance(error, CannotRender) else ""
            print(json.dumps({"line": number, "error": f"{param}{error}"}, ensure_ascii=False), file=sys.stderr)
        else:
            out.write(join_surrogates(result).encode() + b"\n")
            out.flush()
    return status


def parse_line(line: Json, *, chunk_size: int = 0) -> Json:
    """Returns the message that the model text in ``line["raw"]`` is.

    The text is read `chunk_size` characters at a time, or at once if that is 0.

    Raises: BadLine, InvalidRequest.
    """
    chat_format = _format(line)
    raw = _field(line, "raw", str)
    reason = _REASONS.get(_field(line, "finish_reason", str, "stop"))
    if reason is None:
        raise BadLine(f"finish_reason: must be one of {', '.join(_REASONS)}")
    inside = _field(line, "prompt_ends_in_think", bool, False)
    # a recording without tools says nothing of those that the request declared
    parser = chat_format.parser(read_tools(line.get("tools")) or None, prompt_ends_in_think=inside)
    pieces = [raw[at : at + chunk_size] for at in range(0, len(raw), chunk_size)] if chunk_size else [raw]
    answer = Answer.of(parse_pieces(pieces, parser, chat_format.special_tokens, reason))
    return {
        "content": answer.content or None,
        "reasoning_content": answer.reasoning or None,
        "tool_calls": [{"name": call.name, "arguments": json.loads(call.arguments)} for call in answer.tool_calls],
        "finish_reason": "tool_calls" if answer.tool_calls and reason == "stop" else reason,
        "repairs": [repair for call in answer.tool_calls for repair in call.repairs],
    }


def render_line(line: Json) -> Json:
    """Returns the prompt of the conversation in ``line["messages"]``.

    Raises: BadLine, InvalidRequest, CannotRender.
    """
    chat_format = _format(line)
    messages = read_messages(_field(line, "messages", list))
    prompt = chat_format.render(messages, read_tools(line.get("tools")), read_thinking(line))
    if not _field(line, "add_generation_prompt", bool, True):
        try:
            prompt = prompt.history
        except ValueError:
            raise BadLine(f"add_generation_prompt: {chat_format.name} prompts have no end of their own") from None
    return {"prompt": prompt.text}


def parse_pieces(
    pieces: Sequence[str], parser: OutputParser, special_tokens: Iterable[str] = (), reason: FinishReason = "stop"
) -> list[ParserEvent]:
    """Returns the events of text that arrives in `pieces`; special tokens may be spelled out in it."""
    scanner = SpecialTokenScanner(special_tokens)
    events: list[ParserEvent] = []
    for text in pieces:
        for piece in scanner.feed(text):
            events += parser.feed(piece)
    for piece in scanner.flush():
        events += parser.feed(piece)
    return events + parser.flush(reason)


def read_tools(value: Any) -> Sequence[Tool]:
    """Reads tools as the API does, and bare functions too. Raises: InvalidRequest."""
    if isinstance(value, list):
        value = [{"function": item} if isinstance(item, dict) and "function" not in item else item for item in value]
    return tools.read_tools(value, foreign=False).functions


def read_messages(value: list[Any]) -> Sequence[Message]:
    """Reads a conversation as the API does; it may also be empty. Raises: InvalidRequest."""
    return conversation.read_messages(value, foreign=False) if value else ()


def read_thinking(line: Json) -> Thinking:
    """Reads ``enable_thinking``, and the template's further arguments in ``extra_kwargs``. Raises: BadLine."""
    extra = _field(line, "extra_kwargs", dict, {})
    unknown = set(extra) - {"clear_thinking", "reasoning_effort", "enable_thinking"}
    if unknown:
        raise BadLine(f"extra_kwargs: {', '.join(sorted(unknown))}: unknown")
    enabled = _field(line, "enable_thinking", bool, None)
    return Thinking(
        _field(extra, "enable_thinking", bool, None) if enabled is None else enabled,
        _field(extra, "reasoning_effort", str, None),
        _field(extra, "clear_thinking", bool, None),
    )


def _read(line: bytes) -> Json:
    value: Json = json.loads(line)
    if not isinstance(value, dict):
        raise BadLine("not a JSON object")
    if b"\\u" in line:  # escapes may hold half of a surrogate pair
        value = json.loads(join_surrogates(json.dumps(value, ensure_ascii=False)))
    return value


def _format(line: Json) -> ChatFormat:
    name = _field(line, "format", str)
    if name not in FORMATS:
        raise BadLine(f"format: must be one of {', '.join(FORMATS)}")
    return FORMATS[name]


_MISSING: Any = object()


def _field(line: Json, name: str, kind: type, default: Any = _MISSING) -> Any:
    """Returns a field of a line; null means the same as a missing field."""
    value = line.get(name)
    if value is None and default is not _MISSING:
        return default
    if not isinstance(value, kind):
        names = {str: "a string", bool: "true or false", list: "a list", dict: "an object"}
        raise BadLine(f"{name}: must be {names[kind]}")
    return value
