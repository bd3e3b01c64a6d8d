"""The request body of the Responses API, and its way into the nouns of chat.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, Field, SkipValidation

from ...chat import ChatRequest, JsonObjectFormat, JsonSchemaFormat, ResponseFormat, TextFormat, Thinking
from ...engine.capabilities import Capability
from ...errors import InvalidRequest
from ...log_once import log_once
from ...sampling import GLM_DEFAULTS, MAX_TOP_LOGPROBS, Sampling
from ..dialect import Json
from ..http.body import few_entries
from ..openai.parameters import Body, check_neutral, log_ignored
from ..openai.thinking import Effort
from ..validation import read
from .conversation import Conversation, read_conversation
from .response import Asked
from .tools import OfferedTools, read_chosen_tool, read_offered_tools

_NOT_KEPT: Mapping[str, tuple[Any, ...]] = {"background": (None, False), "conversation": (None,), "prompt": (None,)}
"""Fields that need a server that keeps responses, each with the values that ask for nothing."""

_SEALED = "reasoning.encrypted_content"
_LOGPROBS = "message.output_text.logprobs"
_FIELDS = {
    "sampling.max_tokens": "max_output_tokens",
    "sampling.top_logprobs": "top_logprobs",
    "thinking.enabled": "reasoning.effort",
    "thinking.effort": "reasoning.effort",
    "thinking.budget": "reasoning.max_tokens",
    "response_format": "text.format",
}
"""Noun → field, where the noun's own last word is not the field."""
_NOUN = re.compile(r"\w+(\.[a-z_]+)?")
_TOOL = re.compile(r"tools\[(\d+)\](?:\.function)?")


class PreviousResponseNotFound(InvalidRequest):
    """The request goes on from a response, and this server keeps none."""

    code = "previous_response_not_found"


class FormatBody(BaseModel):
    """The form of the answer; `schema` is a JSON schema."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextBody(BaseModel):
    """How the text is to be."""

    format: FormatBody | None = None


class ReasoningBody(BaseModel):
    """How much to think first, with OpenRouter's limit, and whether thoughts are sent as summaries of themselves."""

    effort: str | None = None
    max_tokens: int | None = None
    summary: str | None = None

    @property
    def thinking(self) -> Thinking:
        """The noun. An effort is a hint, so one that is not known is left out."""
        if self.effort is None or self.effort in get_args(Effort):
            return Thinking(effort="none" if self.effort == "minimal" else self.effort, budget=self.max_tokens)
        log_once(f"ignoring the unknown effort {self.effort[:64]!r}")
        return Thinking(budget=self.max_tokens)


class ResponsesBody(Body):
    """A conversation to be answered, as items. pydantic does not validate items and tools: their readers do."""

    model: str | None = Field(
        None,
        description="the served model, or another of GET /v1/models, which is then loaded (--models-max); the served "
        "one answers to any other name (--any-model)",
    )
    input: Annotated[str | list[dict[str, Any]], SkipValidation]
    instructions: str | None = None
    tools: Annotated[list[dict[str, Any]] | None, SkipValidation] = None
    tool_choice: Annotated[str | dict[str, Any] | None, SkipValidation] = None
    parallel_tool_calls: bool | None = None
    text: Annotated[TextBody | None, SkipValidation] = None
    reasoning: Annotated[ReasoningBody | None, SkipValidation] = None
    include: Annotated[list[str] | None, SkipValidation] = None
    max_output_tokens: int | None = Field(None, description="new tokens at most, thoughts included")
    temperature: float | None = Field(None, description="from 0 (greedy) to 2")
    top_p: float | None = Field(None, description="from 0 (greedy) to 1")
    presence_penalty: float | None = Field(None, description="from -2 to 2")
    frequency_penalty: float | None = Field(None, description="from -2 to 2")
    top_logprobs: int | None = Field(
        None, ge=0, le=MAX_TOP_LOGPROBS, description="say how likely each token of the text was, and so many others"
    )
    stream: bool | None = None
    store: bool | None = Field(None, description="no response is kept")
    previous_response_id: str | None = Field(None, description="refused: send the whole conversation")
    background: bool | None = Field(None, description="refused")
    metadata: Annotated[dict[str, Any] | None, SkipValidation] = None
    max_tool_calls: int | None = Field(None, description="changes nothing: it counts calls of OpenAI's services")
    truncation: str | None = Field(None, description="changes nothing: a prompt is never cut")
    service_tier: str | None = Field(None, description='"flex": nobody waits for the answer; other requests come first')
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    client_metadata: Any = Field(None, description="changes nothing: Codex's own")


class ReadRequest:
    """A body that was read: the nouns of the request, and what its answer needs."""

    def __init__(self, body: ResponsesBody, capabilities: frozenset[Capability]) -> None:
        """Raises: InvalidRequest, UnsupportedParameter."""
        _check(body)
        self._fields = _FIELDS if body.top_logprobs else _FIELDS | {"sampling.top_logprobs": "include"}
        self._conversation: Conversation = read_conversation(body.input, body.instructions)
        self._tools: OfferedTools = read_offered_tools(body.tools)
        reasoning = _read_object(ReasoningBody, body.reasoning, "reasoning") or ReasoningBody()
        self.request = ChatRequest(
            messages=self._conversation.messages(foreign=Capability.FOREIGN_CONVERSATION in capabilities),
            tools=self._tools.functions,
            tool_choice=read_chosen_tool(body.tool_choice, self._tools),
            parallel_tool_calls=body.parallel_tool_calls,
            background=body.service_tier == "flex",
            sampling=_sampling(body),
            thinking=reasoning.thinking,
            response_format=_read_format(body.text),
            model=body.model,
            streamed=bool(body.stream),
        )
        self.asked = Asked(
            echo=_echo(body),
            tools=self._tools,
            summary=reasoning.summary is not None,
            sealed=_includes(body, _SEALED),
        )

    def field_of(self, noun: str) -> str:
        """The client's field that says `noun`."""
        if noun.startswith("messages"):
            return self._conversation.field_of(noun)
        if tool := _TOOL.match(noun):
            return self._tools.places[int(tool[1])] + noun[tool.end() :].replace(".input_form", ".format.definition")
        match = _NOUN.match(noun)
        head = match[0] if match else noun
        for name in (head, head.partition(".")[0]):
            if name in self._fields:
                return self._fields[name] + noun[len(name) :]
        return noun.removeprefix("sampling.")


def _check(body: ResponsesBody) -> None:
    """Raises: InvalidRequest for what needs a server that keeps responses. Logs the fields that change nothing."""
    if body.previous_response_id is not None:
        message = "previous_response_id: this server keeps no responses; send the whole conversation as input"
        raise PreviousResponseNotFound(message, param="previous_response_id")
    further = body.model_extra or {}
    check_neutral(_NOT_KEPT, body.sent() | further)
    if body.store:
        log_once("requests to store responses are answered, and nothing is stored")
    log_ignored(name for name, value in further.items() if value is not None and name not in _NOT_KEPT)


def _includes(body: ResponsesBody, what: str) -> bool:
    return isinstance(body.include, list) and what in body.include


def _sampling(body: ResponsesBody) -> Sampling:
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        top_logprobs=(body.top_logprobs or 0) if body.top_logprobs or _includes(body, _LOGPROBS) else None,
        max_tokens=body.max_output_tokens,
    )


def _read_object(kind: Any, value: Any, where: str) -> Any:
    return None if value is None else read(kind, few_entries(value, where), where)


def _read_format(value: Any) -> ResponseFormat | None:
    text: TextBody = _read_object(TextBody, value, "text") or TextBody()
    form = text.format
    if form is None:
        return None
    if form.type == "text":
        return TextFormat()
    if form.type == "json_object":
        return JsonObjectFormat()
    if form.schema_ is None:
        raise InvalidRequest("text.format.schema: a json_schema needs it", param="text.format.schema")
    return JsonSchemaFormat(form.schema_, form.name, form.description, form.strict)


def _echo(body: ResponsesBody) -> Json:
    """The fields of the request that a response repeats, with what they mean where the client did not say."""

    def said(name: str, default: Any) -> Any:
        value = getattr(body, name)
        return default if value is None else value

    text, reasoning = said("text", {}), said("reasoning", {})
    form = text.get("format") or {"type": "text"}
    if form["type"] == "json_schema":
        form = {"description": None, "strict": False} | form
    function = {"description": None, "parameters": None, "strict": None}
    return {
        "background": False,
        "frequency_penalty": said("frequency_penalty", 0),
        "instructions": body.instructions,
        "max_output_tokens": body.max_output_tokens,
        "max_tool_calls": body.max_tool_calls,
        "metadata": said("metadata", {}),
        "parallel_tool_calls": said("parallel_tool_calls", True),
        "presence_penalty": said("presence_penalty", 0),
        "previous_response_id": None,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "safety_identifier": body.safety_identifier,
        "service_tier": "flex" if body.service_tier == "flex" else "default",
        "store": False,
        "temperature": said("temperature", GLM_DEFAULTS.temperature),
        "text": text | {"format": form},
        "tool_choice": said("tool_choice", "auto"),
        "tools": [function | tool if tool["type"] == "function" else tool for tool in said("tools", [])],
        "top_logprobs": said("top_logprobs", 0),
        "top_p": said("top_p", GLM_DEFAULTS.top_p),
        "truncation": "disabled",
        "user": body.user,
    }
