"""OpenAI's request bodies, and their way into the nouns of chat.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SkipValidation

from ...chat import ChatRequest, CompletionRequest, Message, ToolChoice
from ...engine.capabilities import Capability
from ...errors import InvalidRequest
from ...sampling import GLM_DEFAULTS, MAX_TOP_LOGPROBS
from .conversation import MessageBody, read_messages
from .parameters import Generation, Strings, TokenIds
from .prediction import PredictionBody, read_prediction
from .thinking import Effort, ReasoningBody, TemplateArguments, ThinkingBody, read_thinking
from .tools import ReadTools, ToolBody, ToolChoiceBody, read_function_call, read_tool_choice, read_tools

MAX_PROMPTS = 64
COMPLETION_DEFAULTS = replace(GLM_DEFAULTS, max_tokens=16)
"""The 16 are OpenAI's."""


class ChatCompletionBody(Generation):
    """A conversation to be answered.

    pydantic does not validate what another server may read too: `to_request` does, as strictly as the engine needs.
    """

    messages: Annotated[list[MessageBody], SkipValidation]
    tools: Annotated[list[ToolBody] | None, SkipValidation] = None
    tool_choice: Annotated[ToolChoiceBody | None, SkipValidation] = None
    functions: Annotated[list[dict[str, Any]] | None, SkipValidation] = Field(
        None, description="as OpenAI had tools before; use tools"
    )
    function_call: Any = Field(None, description="as OpenAI had tool_choice before; use tool_choice")
    parallel_tool_calls: bool | None = None
    max_completion_tokens: int | None = Field(None, description="the same as max_tokens")
    logprobs: bool | None = Field(None, description="say how likely each token of the answer was")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_TOP_LOGPROBS, description="and what else was likely there")
    continue_final_message: bool | None = Field(None, description="continue the last message")
    prediction: Annotated[PredictionBody | None, SkipValidation] = Field(
        None, description="text that much of the answer is expected to repeat, so that it comes sooner"
    )
    reasoning_effort: Annotated[Effort | None, SkipValidation] = Field(
        None, description="how much to think first; none: not at all"
    )
    reasoning: Annotated[ReasoningBody | None, SkipValidation] = Field(None, description="the same, as in responses")
    enable_thinking: Annotated[bool | None, SkipValidation] = Field(None, description="whether to think first")
    thinking: Annotated[ThinkingBody | None, SkipValidation] = Field(None, description="the same as Z.ai has it")
    chat_template_kwargs: Annotated[TemplateArguments | None, SkipValidation] = Field(
        None, description="the same as vLLM and SGLang have it"
    )
    thinking_budget: Annotated[int | None, SkipValidation] = Field(None, description="most tokens of thought")
    thinking_budget_tokens: Annotated[int | None, SkipValidation] = Field(None, description="the same")

    @property
    def uses_functions(self) -> bool:
        """True if the client expects a call as a ``function_call``."""
        return bool(self.functions)

    def to_request(self, capabilities: frozenset[Capability]) -> ChatRequest:
        """The nouns, for an engine with `capabilities`. Raises: InvalidRequest, UnsupportedParameter."""
        foreign = Capability.FOREIGN_CONVERSATION in capabilities
        elsewhere = Capability.EXTRAS in capabilities
        extras: dict[str, Any] = dict(self.extras(capabilities))
        if self.top_logprobs and not self.logprobs:
            raise InvalidRequest('top_logprobs needs "logprobs": true', param="top_logprobs")
        messages = read_messages(self.messages, foreign=foreign)
        tools, choice = self._tools(extras, foreign=foreign)
        response_format = self.answer_format(extras, foreign=elsewhere)
        most = self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens
        return ChatRequest(
            messages=messages,
            tools=tools.functions,
            tool_choice=choice,
            parallel_tool_calls=False if self.uses_functions else self.parallel_tool_calls,
            sampling=self.sampling(most, (self.top_logprobs or 0) if self.logprobs else None),
            choices=self.n,
            thinking=read_thinking(self, foreign=elsewhere),
            response_format=response_format,
            continues=self._continues(messages, foreign=foreign),
            prediction=read_prediction(self.prediction, extras, foreign=elsewhere),
            background=self.background,
            model=self.model,
            streamed=bool(self.stream),
            timed=bool(self.stream and self.timings_per_token),
            foreign_tools=tools.foreign,
            extras=extras,
        )

    def _continues(self, messages: Sequence[Message], *, foreign: bool) -> bool | None:
        """Whether the answer goes on from the last message: said as vLLM has it, or by ``prefix`` in that message."""
        if self.continue_final_message is not None or foreign:
            return self.continue_final_message
        unprompted = (self.model_extra or {}).get("add_generation_prompt") is False
        return True if unprompted or messages[-1].extras.get("prefix") is True else None

    def _tools(self, extras: dict[str, Any], *, foreign: bool) -> tuple[ReadTools, ToolChoice]:
        """The tools and the choice among them. Adds to `extras` a choice that only another server understands."""
        if self.functions and self.tools:
            raise InvalidRequest("functions and tools mean the same; send tools", param="functions")
        if self.functions:
            tools = read_tools(self.functions, foreign=False, field="functions")
            return tools, read_function_call(self.function_call, tools)
        if self.function_call is not None:
            if foreign:
                extras["function_call"] = self.function_call
            else:
                read_function_call(self.function_call, ReadTools())  # it can name none of the tools
        tools = read_tools(self.tools, foreign=foreign)
        choice = read_tool_choice(self.tool_choice, tools, foreign=foreign)
        if choice is None:
            extras["tool_choice"] = self.tool_choice
            choice = ToolChoice()
        return tools, choice


_TokenIdLists = Annotated[list[TokenIds], Field(fail_fast=True)]
Prompts = Annotated[str | Strings | TokenIds | _TokenIdLists, Field(max_length=1 << 22)]


class CompletionBody(Generation):
    """A bare prompt, or several, to be continued."""

    prompt: Prompts
    logprobs: Annotated[int | None, BeforeValidator(lambda value: None if value is False else value)] = Field(
        None, ge=0, le=MAX_TOP_LOGPROBS, description="say how likely each token was, and so many others"
    )
    suffix: str | None = Field(None, description="the text after the gap to be filled")
    echo: bool | None = Field(None, description="begin the answer with the prompt")
    best_of: int | None = Field(None, ge=1, description="answers to sample; the likeliest n are given")

    def to_request(self, capabilities: frozenset[Capability]) -> CompletionRequest:
        """The nouns, for an engine with `capabilities`. Raises: InvalidRequest, UnsupportedParameter."""
        extras: dict[str, Any] = dict(self.extras(capabilities))
        response_format = self.answer_format(extras, foreign=Capability.EXTRAS in capabilities)
        return CompletionRequest(
            split_prompts(self.prompt),
            self.sampling(self.max_tokens, self.logprobs),
            choices=self.n,
            suffix=self.suffix,
            echo=self.echo,
            best_of=self.best_of,
            response_format=response_format,
            background=self.background,
            model=self.model,
            streamed=bool(self.stream),
            timed=bool(self.stream and self.timings_per_token),
            defaults=COMPLETION_DEFAULTS,
            extras=extras,
        )


def split_prompts(given: str | list[Any]) -> tuple[str | tuple[int, ...], ...]:
    """The prompts one by one. Raises: InvalidRequest."""
    prompts = given if isinstance(given, list) else [given]
    if prompts and isinstance(prompts[0], int):
        prompts = [prompts]
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise InvalidRequest(f"from 1 to {MAX_PROMPTS} prompts, not {len(prompts)}", param="prompt")
    return tuple(prompt if isinstance(prompt, str) else tuple(prompt) for prompt in prompts)
