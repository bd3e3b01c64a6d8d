"""The chat formats on the command line: recorded model text to messages, conversations to prompts, as JSON Lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, BinaryIO

from .answer import Answer
from .chat import FinishReason, Message, ParserEvent, Role, Thinking, Tool, ToolCall
from .formats.base import CannotRender, ChatFormat, OutputParser
from .formats.registry import FORMATS
from .formats.scanning.markers import SpecialTokenScanner
from .json_text import NotAnObject, join_surrogates, load_object

Json = dict[str, Any]
_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length", "tool_calls": "stop"}


class BadLine(ValueError):
    """A line that does not say what it should; the message names the field."""


def run_lines(convert: Callable[[Json], Json], lines: Iterable[bytes], out: BinaryIO) -> int:
    """Write what `convert` makes of each line; of a bad one, an error object to stderr. Returns the exit status."""
    status = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            if not isinstance(value, dict):
                raise BadLine("not a JSON object")
            result = json.dumps(convert(value), ensure_ascii=False)
        except (ValueError, RecursionError) as error:  # BadLine, CannotRender, and JSON's and Unicode's own
            status = 1
            param = f"{error.param}: " if isinstance(error, CannotRender) else ""
            print(json.dumps({"line": number, "error": f"{param}{error}"}, ensure_ascii=False), file=sys.stderr)
        else:
            out.write(join_surrogates(result).encode() + b"\n")
            out.flush()
    return status


def parse_line(line: Json, *, chunk_size: int = 0) -> Json:
    """The message that the model text in ``line["raw"]`` is; it arrives `chunk_size` characters at a time, 0: whole.

    Raises: BadLine.
    """
    chat_format = _format(line)
    raw = join_surrogates(_field(line, "raw", str))
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
    """The prompt of the conversation in ``line["messages"]``.

    Raises: BadLine, CannotRender.
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
    """The events of text that arrives in `pieces`; special tokens may be spelled out in it."""
    scanner = SpecialTokenScanner(special_tokens)
    events: list[ParserEvent] = []
    for text in pieces:
        for piece in scanner.feed(text):
            events += parser.feed(piece)
    for piece in scanner.flush():
        events += parser.feed(piece)
    return events + parser.flush(reason)


def read_tools(value: object) -> list[Tool]:
    """Tools as bare functions, or as OpenAI's wrappers round them. Raises: BadLine."""
    tools = []
    for number, item in enumerate(_list(value, "tools")):
        function = item.get("function", item) if isinstance(item, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
            raise BadLine(f"tools[{number}]: must be a function with a name")
        tools.append(Tool(function))
    return tools


def read_messages(value: Sequence[object]) -> list[Message]:
    """OpenAI's messages. Raises: BadLine."""
    messages = []
    for number, item in enumerate(value):
        where = f"messages[{number}]"
        role = _ROLES.get(str(item.get("role"))) if isinstance(item, dict) else None
        if not isinstance(item, dict) or role is None:
            raise BadLine(f"{where}: must have one of the roles {', '.join(_ROLES)}")
        calls = tuple(
            _call(call, f"{where}.tool_calls") for call in _list(item.get("tool_calls"), f"{where}.tool_calls")
        )
        reasoning = _field(item, "reasoning_content", str, "")
        messages.append(Message(role, _text(item.get("content"), where), calls, item.get("tool_call_id"), reasoning))
    return messages


def read_thinking(line: Json) -> Thinking:
    """``enable_thinking``, and the template's further arguments in ``extra_kwargs``. Raises: BadLine."""
    extra = _field(line, "extra_kwargs", dict, {})
    unknown = set(extra) - {"clear_thinking", "reasoning_effort", "enable_thinking"}
    if unknown:
        raise BadLine(f"extra_kwargs: {', '.join(sorted(unknown))}: there is no such argument")
    enabled = line.get("enable_thinking")
    return Thinking(
        _field(
            {"enable_thinking": extra.get("enable_thinking") if enabled is None else enabled},
            "enable_thinking",
            bool,
            None,
        ),
        _field(extra, "reasoning_effort", str, None),
        _field(extra, "clear_thinking", bool, None),
    )


def _format(line: Json) -> ChatFormat:
    name = _field(line, "format", str)
    if name not in FORMATS:
        raise BadLine(f"format: must be one of {', '.join(FORMATS)}")
    return FORMATS[name]


_MISSING: Any = object()


def _field(line: Json, name: str, kind: type, default: Any = _MISSING) -> Any:
    """A field of a line; null is as good as none."""
    value = line.get(name)
    if value is None and default is not _MISSING:
        return default
    if not isinstance(value, kind):
        names = {str: "a string", bool: "true or false", list: "a list", dict: "an object"}
        raise BadLine(f"{name}: must be {names[kind]}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list | None):
        raise BadLine(f"{where}: must be a list")
    return value or []


def _text(content: object, where: str) -> str:
    """Content as text: the parts of a list follow each other as they are, as in the models' own templates."""
    if content is None or isinstance(content, str):
        return join_surrogates(content or "")
    parts = _list(content, f"{where}.content")
    if not all(
        isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts
    ):
        raise BadLine(f"{where}.content: only text can be rendered")
    return join_surrogates("".join(part["text"] for part in parts))


def _call(call: object, where: str) -> ToolCall:
    function = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(call, dict) or not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadLine(f"{where}: each call must have a function with a name")
    arguments = function.get("arguments")
    if isinstance(arguments, str):
        try:
            arguments = {} if arguments.strip() in ("", "null") else load_object(arguments)
        except NotAnObject:  # the model reads it as it came
            arguments = join_surrogates(str(arguments))
    elif not isinstance(arguments, dict | None):
        raise BadLine(f"{where}: arguments must be JSON text or an object")
    return ToolCall(str(call.get("id") or ""), function["name"], arguments or {})
