"""What clients send: OpenAI's request bodies, and their way into the project's own nouns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ...chat import ChatRequest, CompletionRequest, Message, Thinking, Tool, ToolCall, ToolChoice
from ...errors import InvalidRequest
from ...json_text import NotAnObject, dump_object, load_object
from ...sampling import GLM_DEFAULTS
from ..body import check_nesting
from .parameters import MAX_TOP_LOGPROBS, Generation, Strings, TokenIds, few_entries

MAX_MESSAGES = 2048
MAX_TOOLS = 128
MAX_PROMPTS = 64
COMPLETION_DEFAULTS = replace(GLM_DEFAULTS, max_tokens=16)
"""The 16 are OpenAI's."""

Given = TypeVar("Given")


class ContentPart(BaseModel):
    """A part of a message's content: text, or what this server cannot read."""

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | Annotated[list[ContentPart], Field(fail_fast=True)] | None


class FunctionCall(BaseModel):
    """The function of a call in the history; `arguments` is JSON text, though some clients send the object."""

    name: str = Field(min_length=1, max_length=128)
    arguments: str | dict[str, Any] | None = None

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return _function_name(value)


class CallBody(BaseModel):
    """A call in the history."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall


class SystemMessage(BaseModel):
    """Instructions for the model."""

    role: Literal["system", "developer"]
    content: Content


class UserMessage(BaseModel):
    """What the user said."""

    role: Literal["user"]
    content: Content


class AssistantMessage(BaseModel):
    """An earlier answer."""

    role: Literal["assistant"]
    content: Content = None
    reasoning_content: str | None = None
    tool_calls: Annotated[list[CallBody], Field(fail_fast=True)] | None = None


class ToolMessage(BaseModel):
    """A call's result."""

    role: Literal["tool"]
    content: Content
    tool_call_id: str


MessageBody = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage, Field(discriminator="role")]


class ToolBody(BaseModel):
    """A tool the model may call; the function object reaches it as the client wrote it."""

    type: Literal["function"]
    function: dict[str, Any] = Field(description="name, description, parameters (a JSON schema)")

    @field_validator("function")
    @classmethod
    def _function(cls, value: dict[str, Any]) -> dict[str, Any]:
        name = value.get("name")
        if not isinstance(name, str) or not 1 <= len(name) <= 128:
            raise ValueError("the function needs a name of 1 to 128 characters")
        _function_name(name)
        if not isinstance(value.get("parameters"), dict | None):
            raise ValueError("the function's parameters must be a JSON schema, an object")
        return value


class ChosenFunction(BaseModel):
    """A function by its name."""

    name: str


class NamedChoice(BaseModel):
    """The tool that must be called."""

    type: Literal["function"]
    function: ChosenFunction


Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class TemplateArguments(BaseModel):
    """Arguments of the models' chat templates; those that there are not would be ignored without a word."""

    model_config = ConfigDict(extra="forbid")

    enable_thinking: bool | None = None
    clear_thinking: bool | None = None
    reasoning_effort: Effort | None = None


class ThinkingBody(BaseModel):
    """Z.ai's own switch."""

    type: Literal["enabled", "disabled"] | None = None
    clear_thinking: bool | None = None


class Conversation(BaseModel):
    """What is to be answered, and with which tools."""

    messages: list[MessageBody] = Field(min_length=1, max_length=MAX_MESSAGES)
    tools: list[ToolBody] | None = Field(None, max_length=MAX_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning_effort: Effort | None = Field(None, description="how much to think first; none: not at all")
    enable_thinking: bool | None = Field(None, description="whether to think first")
    thinking: ThinkingBody | None = Field(None, description="the same as Z.ai's API has it")
    chat_template_kwargs: Annotated[TemplateArguments | None, BeforeValidator(few_entries)] = Field(
        None, description="the same as vLLM and SGLang have it"
    )

    def conversation(self) -> ChatRequest:
        """The request as far as it is in these fields. Raises: InvalidRequest."""
        return ChatRequest(
            messages=tuple(_message(number, message) for number, message in enumerate(self.messages)),
            tools=self._tools(),
            tool_choice=self._tool_choice(),
            parallel_tool_calls=self.parallel_tool_calls,
            thinking=self._thinking(),
        )

    def _thinking(self) -> Thinking:
        template, own = self.chat_template_kwargs or TemplateArguments(), self.thinking or ThinkingBody()
        switch = None if own.type is None else own.type == "enabled"
        return Thinking(
            enabled=_agreed("enable_thinking", template.enable_thinking, self.enable_thinking, switch),
            effort=_agreed("reasoning_effort", template.reasoning_effort, self.reasoning_effort),
            clear=_agreed("clear_thinking", template.clear_thinking, own.clear_thinking),
        )

    def _tools(self) -> tuple[Tool, ...]:
        tools = tuple(Tool(tool.function) for tool in self.tools or ())
        names = [tool.name for tool in tools]
        for number, name in enumerate(names):
            if name in names[:number]:
                raise InvalidRequest(f"two tools have the name {name!r}", param=f"tools[{number}].function.name")
        return tools

    def _tool_choice(self) -> ToolChoice:
        choice = self.tool_choice or "auto"
        names = [tool.function["name"] for tool in self.tools or ()]
        if isinstance(choice, NamedChoice):
            if choice.function.name not in names:
                raise InvalidRequest(
                    f"tool_choice names {choice.function.name!r}, which is not in tools", param="tool_choice"
                )
            return ToolChoice("named", choice.function.name)
        if choice == "required" and not names:
            raise InvalidRequest('tool_choice "required" needs tools', param="tool_choice")
        return ToolChoice(choice)


class ChatCompletionBody(Conversation, Generation):
    """A conversation to be answered."""

    max_completion_tokens: int | None = Field(None, ge=1, description="new tokens at most")
    logprobs: bool | None = Field(None, description="say how likely each token of the answer was")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS, description="and what else was likely there")

    def to_request(self, honoured: Collection[str]) -> ChatRequest:
        """`honoured`: as for `check_parameters`. Raises: InvalidRequest, UnsupportedParameter."""
        self.check_parameters({*honoured, "reasoning_effort"})
        self.check_stream_options()
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest('top_logprobs needs "logprobs": true', param="top_logprobs")
        top = (self.top_logprobs or 0) if self.logprobs else None
        sampling = self.sampling(self.max_completion_tokens or self.max_tokens, top)
        return replace(
            self.conversation(), sampling=sampling, choices=self.n, model=self.model, streamed=bool(self.stream)
        )


_TokenIdLists = Annotated[list[TokenIds], Field(fail_fast=True)]
Prompts = Annotated[str | Strings | TokenIds | _TokenIdLists, Field(max_length=1 << 22)]


class CompletionBody(Generation):
    """A bare prompt, or several, to be continued."""

    prompt: Prompts
    logprobs: Annotated[int | None, BeforeValidator(lambda value: None if value is False else value)] = Field(
        None, ge=0, le=MAX_TOP_LOGPROBS, description="say how likely each token was, and so many others"
    )

    def to_request(self, honoured: Collection[str]) -> CompletionRequest:
        """`honoured`: as for `check_parameters`. Raises: InvalidRequest, UnsupportedParameter."""
        self.check_parameters(honoured)
        self.check_stream_options()
        return CompletionRequest(
            split_prompts(self.prompt),
            self.sampling(self.max_tokens, self.logprobs),
            choices=self.n,
            model=self.model,
            streamed=bool(self.stream),
            defaults=COMPLETION_DEFAULTS,
        )


def split_prompts(given: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    """The prompts one by one. Raises: InvalidRequest."""
    prompts = given if isinstance(given, list) else [given]
    if prompts and isinstance(prompts[0], int):
        prompts = [prompts]
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise InvalidRequest(f"from 1 to {MAX_PROMPTS} prompts, not {len(prompts)}", param="prompt")
    return tuple(prompt if isinstance(prompt, str) else tuple(prompt) for prompt in prompts)


class ErrorObject(BaseModel):
    """What went wrong: `param` is the field of the request, `code` is for programs."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(BaseModel):
    """The body of every error."""

    error: ErrorObject


def _message(number: int, body: SystemMessage | UserMessage | AssistantMessage | ToolMessage) -> Message:
    content = _text(body.content, f"messages[{number}].content")
    if isinstance(body, AssistantMessage):
        calls = tuple(_call(call) for call in body.tool_calls or ())
        return Message("assistant", content, calls, reasoning=body.reasoning_content or "")
    if isinstance(body, ToolMessage):
        return Message("tool", content, tool_call_id=body.tool_call_id)
    return Message("user" if isinstance(body, UserMessage) else "system", content)


def _agreed(param: str, *values: Given) -> Given | None:
    """What the fields that mean the same say. Raises: InvalidRequest if they contradict each other."""
    said = [value for value in values if value is not None]
    if any(value != said[0] for value in said):
        raise InvalidRequest(f"the request says more than one thing about {param}", param=param)
    return said[0] if said else None


def _text(content: Content, param: str) -> str:
    """Content as text: the parts of a list follow each other as they are, as in the models' own templates."""
    if content is None or isinstance(content, str):
        return content or ""
    texts = []
    for number, part in enumerate(content):
        text = part.text if part.type == "text" else part.refusal if part.type == "refusal" else None
        if text is None:
            raise InvalidRequest(f"this model reads text only, not {part.type!r} parts", param=f"{param}[{number}]")
        texts.append(text)
    return "".join(texts)


def _call(call: CallBody) -> ToolCall:
    arguments = call.function.arguments
    if isinstance(arguments, Mapping):
        return ToolCall(call.id, call.function.name, dict(arguments))
    text = (arguments or "").strip()
    if text in ("", "null"):
        return ToolCall(call.id, call.function.name, {})
    try:
        # once more through JSON text, which joins surrogates: a prompt must be valid Unicode
        arguments = load_object(dump_object(load_object(text)))
        check_nesting(arguments)
    except (NotAnObject, InvalidRequest):
        return ToolCall(call.id, call.function.name, text)
    return ToolCall(call.id, call.function.name, arguments)


def _function_name(name: str) -> str:
    """Formats write a name on a line of its own, so it must not have blanks."""
    if any(char.isspace() or not char.isprintable() for char in name):
        raise ValueError("a function's name must not hold blanks or control characters")
    return name
