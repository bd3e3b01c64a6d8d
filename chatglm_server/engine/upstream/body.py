"""The JSON body that goes to another server: as the client sent it, or with its tools written out as text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...chat import ChatRequest, Message, Tool
from ...errors import InvalidRequest, UnsupportedParameter
from ...formats.base import CannotRender, ChatFormat, Special
from ...sampling import Sampling

Json = dict[str, Any]

_ROLES = {"<|system|>": "system", "<|user|>": "user", "<|assistant|>": "assistant", "<|observation|>": "user"}
_NO_THOUGHT = re.compile(r"\A\s*(?:<think>\s*</think>|</think>)\s*")
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")


def with_usage(body: Mapping[str, Any]) -> Json:
    """`body`, asking for usage as well if it asks for a stream, where that does not come by itself.

    Whether to stream is left as the client has it: llama-cpp-python, for one, answers a prompt that is too long with a
    status and a message, but where it streams with nothing at all.
    """
    if not body.get("stream"):
        return dict(body)
    options = body.get("stream_options")
    return {**body, "stream_options": {**(options if isinstance(options, dict) else {}), "include_usage": True}}


def native_body(request: ChatRequest) -> Json:
    """What the client sent; for requests that came by another way than OpenAI's, the same in OpenAI's words."""
    if request.body:
        return dict(request.body)
    body: Json = {
        "messages": [_message(message) for message in request.messages],
        "stream": True,
        **_sampling(request.sampling),
    }
    if request.tools:
        body["tools"] = [{"type": "function", "function": tool.function} for tool in request.tools]
    return body


def text_body(request: ChatRequest, find_format: Callable[[], ChatFormat]) -> Json:
    """The same for servers that know no tools: tools, calls and results stand in the messages as the format has them.

    Raises: InvalidRequest, UnsupportedParameter.
    """
    mode = request.tool_choice.mode
    tools = () if mode == "none" else request.tools
    told = any(message.role == "tool" or message.tool_calls for message in request.messages)
    body = {name: value for name, value in native_body(request).items() if name not in _TOOL_FIELDS}
    if not tools and not told:
        return body
    if mode in ("required", "named"):
        raise UnsupportedParameter(
            "with --upstream-tools text no call can be forced; leave tool_choice out", param="tool_choice"
        )
    chat_format = find_format()
    if not chat_format.supports_tools:
        raise InvalidRequest(f"models of the format {chat_format.name} were not trained to call tools", param="tools")
    return {**body, "messages": text_messages(chat_format, request.messages, tools)}


def text_messages(chat_format: ChatFormat, messages: Sequence[Message], tools: Sequence[Tool]) -> list[Json]:
    """The conversation in messages without tools: the format's prompt, cut at its role tokens.

    A result becomes part of a user's message, behind the token that marks it in a prompt.

    Raises: InvalidRequest.
    """
    try:
        prompt = chat_format.render(messages, tools)
    except CannotRender as error:
        raise InvalidRequest(str(error), param=error.param) from None
    segments: list[tuple[str, str]] = []  # (role, text)
    for piece in prompt.pieces:
        if isinstance(piece, Special) and piece.name in _ROLES:
            segments.append((_ROLES[piece.name], piece.name if piece.name == "<|observation|>" else ""))
        elif segments:
            role, text = segments[-1]
            more = piece if isinstance(piece, str) else piece.name
            segments[-1] = (role, text + more if text else more.removeprefix("\n"))
    result: list[Json] = []
    for role, text in segments[:-1]:  # the last one is the answer's beginning
        if role == "assistant":
            text = _NO_THOUGHT.sub("", text)
        if result and result[-1]["role"] == role:  # many templates want roles to take turns
            result[-1]["content"] += ("\n" if role == "assistant" else "\n\n") + text
        else:
            result.append({"role": role, "content": text})
    return result


def _message(message: Message) -> Json:
    result: Json = {"role": message.role, "content": message.content}
    if message.tool_calls:
        result["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": call.arguments
                    if isinstance(call.arguments, str)
                    else json.dumps(call.arguments, ensure_ascii=False),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        result["tool_call_id"] = message.tool_call_id
    return result


def _sampling(sampling: Sampling) -> Json:
    fields: Json = {}
    if sampling.temperature is not None:
        fields["temperature"] = sampling.temperature
    if sampling.top_p is not None:
        fields["top_p"] = sampling.top_p
    if sampling.max_tokens is not None:
        fields["max_tokens"] = sampling.max_tokens
    if sampling.stop:
        fields["stop"] = list(sampling.stop)
    return fields
