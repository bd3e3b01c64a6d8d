"""The bodies that GLM-API's clients send (uniai-lab/GLM-API: ``api.py``, and ``classType.py`` for its GLM-4 version).

Field names and defaults are GLM-API's. Its ``/chat`` came in two versions: with ChatGLM3, tools stood in the system
message, calls in an assistant message's `metadata`, results in messages of the role ``observation``; with GLM-4 it was
close to OpenAI's. This module rewrites both to OpenAI's fields; what follows is the same as for OpenAI's clients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, Field, model_validator

from ...chat import ChatRequest
from ...engine.capabilities import Capability
from ...errors import InvalidRequest, UnsupportedParameter
from ...formats.inline.python_calls import read_python_call
from ...json_text import NotAnObject, dump_object
from ...sampling import GLM_DEFAULTS
from ..openai.bodies import ChatCompletionBody
from ..openai.parameters import Body

MAX_TOKENS = 4096
MAX_TEXTS = 2048
DEFAULTS = replace(GLM_DEFAULTS, temperature=0.7, repetition_penalty=1.1, max_tokens=MAX_TOKENS)
"""GLM-API's own."""


class GLMChatBody(ChatCompletionBody):
    """``POST /chat``. Ignores `model`, as GLM-API does: there is one chat model."""

    model: str | None = Field(None, description="passed over: the served model answers")
    chunk: bool | None = Field(True, description="a stream's events hold the new text (true) or all so far (false)")
    return_function_call: bool | None = Field(False, description="a call as JSON text in content, as with ChatGLM3")

    @model_validator(mode="before")
    @classmethod
    def _to_openai(cls, value: object) -> object:
        if not isinstance(value, dict) or not isinstance(value.get("messages"), list):
            return value
        value = dict(value)
        first = value["messages"][0] if value["messages"] else None
        if isinstance(first, dict) and first.get("role") == "system" and first.get("tools") and not value.get("tools"):
            value["tools"] = first["tools"]
        if isinstance(value.get("tools"), list):
            value["tools"] = [_tool(tool) for tool in value["tools"]]
        value["messages"] = _messages(value["messages"])
        return value

    def to_request(self, capabilities: frozenset[Capability]) -> ChatRequest:
        """The nouns, for an engine with `capabilities`. Raises: InvalidRequest, UnsupportedParameter."""
        if self.timings_per_token:
            message = "these answers have no place for timings; leave it out"
            raise UnsupportedParameter(message, param="timings_per_token")
        request = super().to_request(capabilities)
        if request.messages[-1].role == "assistant":
            raise InvalidRequest("the last message must not be the assistant's", param="messages")
        parallel = False if self.return_function_call else request.parallel_tool_calls
        return replace(request, model=None, parallel_tool_calls=parallel, defaults=DEFAULTS)


class TokenizeBody(Body):
    """``POST /tokenize``."""

    prompt: str
    max_tokens: int = Field(MAX_TOKENS, ge=1, description="most ids in tokenIds; the rest is left out")


class EmbeddingBody(Body):
    """``POST /embedding``."""

    model: str | None = None
    prompt: list[str] = Field(min_length=1, max_length=MAX_TEXTS)


class KeywordBody(Body):
    """``POST /keyword``."""

    input: str = Field(min_length=1, description="one text")
    model: str | None = None
    vocab: list[str] | None = Field(None, max_length=MAX_TEXTS, description="the words to choose from")
    top: int = Field(10, ge=1, le=MAX_TEXTS, description="keywords at most")
    mmr: bool = Field(False, description="prefer keywords that are unlike each other")
    diversity: float = Field(0.3, ge=0, le=1, description="how much, with mmr")
    maxsum: bool = False

    @model_validator(mode="before")
    @classmethod
    def _null_is_default(cls, value: object) -> object:
        return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value

    def check(self) -> None:
        """Raises: UnsupportedParameter."""
        if self.maxsum:
            raise UnsupportedParameter("maxsum is not supported; use mmr", param="maxsum")


class ModelCard(BaseModel):
    """An entry of ``GET /models``; `object` says what the model is for, `created` is in seconds since the epoch."""

    id: str
    object: str
    created: int
    owned_by: str = "owner"
    root: None = None
    parent: None = None
    permission: None = None


def _tool(tool: object) -> object:
    """ChatGLM3 declares bare functions."""
    if isinstance(tool, dict) and "function" not in tool and "name" in tool:
        return {"type": "function", "function": tool}
    return tool


def _messages(messages: list[Any]) -> list[Any]:
    """OpenAI's messages. Results belong to the call before them, so ids are numbers of calls."""
    result: list[Any] = []
    calls = 0
    for sent in messages:
        if not isinstance(sent, dict):
            result.append(sent)
            continue
        message: dict[str, Any] = {"content": None} | sent
        if message.get("role") == "system":
            message.pop("tools", None)  # they are the request's
        role, metadata = message.get("role"), message.pop("metadata", None)
        if role == "assistant" and isinstance(metadata, str) and metadata.strip():
            calls += 1
            message["tool_calls"] = [_call(f"call_{calls}", metadata.strip(), _arguments(message["content"]))]
            message["content"] = None
        elif role == "assistant" and isinstance(message.get("function_call"), Mapping):
            calls += 1
            call = message.pop("function_call")
            message["tool_calls"] = [_call(f"call_{calls}", call.get("name"), call.get("arguments"))]
        elif role in ("observation", "function"):
            message |= {"role": "tool", "tool_call_id": f"call_{calls}"}
        elif role == "tool":
            message.setdefault("tool_call_id", "")
        result.append(message)
    return result


def _call(id_: str, name: object, arguments: object) -> dict[str, Any]:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def _arguments(content: object) -> object:
    """JSON text of the arguments of a call as ChatGLM3 writes it, ``tool_call(name=literal)`` in a fence or none."""
    if not isinstance(content, str):
        return content
    try:
        return dump_object(read_python_call(content.strip()))
    except NotAnObject:
        return content
