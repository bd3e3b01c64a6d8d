"""Writes tools, calls and results into the text of messages, for servers that do not know tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ...chat import ChatRequest, Message, Tool
from ...errors import InvalidRequest, UnsupportedParameter
from ...formats.base import CannotRender, ChatFormat, Special
from .body import Json, chat_body

_ROLES = {"<|system|>": "system", "<|user|>": "user", "<|assistant|>": "assistant", "<|observation|>": "user"}
_NO_THOUGHT = re.compile(r"\A\s*(?:<think>\s*</think>|</think>)\s*")
_TOOL_FIELDS = ("tools", "tool_choice", "parallel_tool_calls")


def text_body(request: ChatRequest, find_format: Callable[[], ChatFormat]) -> Json:
    """Returns the body for ``/chat/completions`` with tools as the model's format writes them into a prompt.

    Messages stay as they are if the request holds no tools, calls or results. The engine lacks
    `Capability.FOREIGN_CONVERSATION` in this mode, so the API has refused images and tools that are not functions.

    Raises: InvalidRequest, UnsupportedParameter.
    """
    tools = request.callable_tools
    body = {name: value for name, value in chat_body(request).items() if name not in _TOOL_FIELDS}
    if not tools and not any(message.role == "tool" or message.tool_calls for message in request.messages):
        return body
    if request.tool_choice.mode in ("required", "named"):
        raise UnsupportedParameter(
            "with --upstream-tools text a call cannot be forced; leave tool_choice out", param="tool_choice"
        )
    chat_format = find_format()
    if not chat_format.supports_tools:
        raise InvalidRequest(f"models of the format {chat_format.name} were not trained to call tools", param="tools")
    return {**body, "messages": text_messages(chat_format, request.messages, tools)}


def text_messages(chat_format: ChatFormat, messages: Sequence[Message], tools: Sequence[Tool]) -> list[dict[str, Any]]:
    """Returns the conversation in messages without tools: the format's prompt, cut at its role tokens.

    A result becomes part of a user's message, after the token that marks it in a prompt.

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
    result: list[dict[str, Any]] = []
    for role, text in segments[:-1]:  # the last segment begins the answer
        if role == "assistant":
            text = _NO_THOUGHT.sub("", text)
        if result and result[-1]["role"] == role:  # many templates want roles to take turns
            result[-1]["content"] += ("\n" if role == "assistant" else "\n\n") + text
        else:
            result.append({"role": role, "content": text})
    return result
