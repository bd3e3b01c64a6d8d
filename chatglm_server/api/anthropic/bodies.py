"""Anthropic's request bodies, and their way into the nouns of chat.py.

Source: the parameters of anthropic-sdk-python, and what Claude Code sends.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, SkipValidation

from ...chat import ChatRequest, JsonSchemaFormat
from ...engine.capabilities import Capability
from ...errors import InvalidRequest
from ...sampling import Sampling
from ..openai.parameters import Body, Strings, log_ignored
from .conversation import MessageParam, TextBlock, read_conversation, read_system
from .thoughts import Effort, ThinkingConfig, keeps_thoughts, read_thinking
from .tools import ClientTool, ToolChoiceConfig, read_choice, read_client_tools

_HINTS = frozenset(
    {
        *("betas", "cache_control", "container", "diagnostics", "inference_geo", "mcp_servers"),
        *("metadata", "service_tier", "speed", "user_profile_id"),
    }
)
"""Fields that promise the client nothing about the answer, or mean other servers."""

_FIELDS = {
    "sampling.stop": "stop_sequences",
    "thinking.enabled": "thinking",
    "thinking.effort": "output_config.effort",
    "thinking.budget": "thinking.budget_tokens",
    "response_format": "output_config.format",
    "response_format.schema": "output_config.format.schema",
    "continues": "messages",
}
"""Noun → field."""


class JsonOutputFormat(BaseModel):
    """The answer is JSON that fits the schema."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(BaseModel):
    """The form of the answer, and how much to think about it."""

    effort: Effort | None = None
    format: JsonOutputFormat | None = None


class MessagesBody(Body):
    """A conversation to be answered."""

    messages: Annotated[list[MessageParam], SkipValidation]
    model: str | None = Field(
        None,
        description="the served model, or another of GET /v1/models, which is then loaded (--models-max); the served "
        "one answers to any other name (--any-model)",
    )
    system: Annotated[str | list[TextBlock] | None, SkipValidation] = None
    max_tokens: int | None = Field(None, description="new tokens at most; left out: as many as fit")
    stream: bool | None = None
    temperature: float | None = Field(None, description="from 0 (greedy) to 2")
    top_p: float | None = Field(None, description="from 0 (greedy) to 1")
    top_k: int | None = Field(None, description="tokens to sample from; 0: all")
    stop_sequences: Strings | None = Field(None, description="strings that end the answer")
    tools: Annotated[list[ClientTool] | None, SkipValidation] = None
    tool_choice: ToolChoiceConfig | None = None
    thinking: ThinkingConfig | None = None
    output_config: OutputConfig | None = None
    context_management: Any = Field(None, description="whether the thoughts of earlier answers stay in the prompt")

    @property
    def shows_thoughts(self) -> bool:
        """False if thoughts are to come without their text."""
        return self.thinking is None or self.thinking.display != "omitted"

    def to_request(self, capabilities: frozenset[Capability], *, counted: bool = False) -> ChatRequest:
        """The nouns, for an engine with `capabilities`. Ignores hints and unknown fields.

        `counted`: only the length of the prompt is asked for, so any message may be the last. Raises: InvalidRequest.
        """
        log_ignored(name for name in self.model_extra or {} if name not in _HINTS)
        images = Capability.FOREIGN_CONVERSATION in capabilities
        messages = (*read_system(self.system), *read_conversation(self.messages, images=images))
        continues = messages[-1].role == "assistant" and not counted
        if continues and messages[-1].tool_calls:
            raise InvalidRequest("messages: the last one has a tool_use without its tool_result", param="messages")
        tools = read_client_tools(self.tools)
        once = self.tool_choice is not None and self.tool_choice.disable_parallel_tool_use
        output = self.output_config or OutputConfig()
        return ChatRequest(
            messages=messages,
            tools=tools,
            tool_choice=read_choice(self.tool_choice, tools),
            parallel_tool_calls=False if once else None,
            sampling=Sampling(
                temperature=self.temperature,
                top_p=self.top_p,
                top_k=self.top_k,
                max_tokens=self.max_tokens,
                stop=None if self.stop_sequences is None else tuple(self.stop_sequences),
            ),
            thinking=read_thinking(
                self.thinking, output.effort, capabilities, kept=keeps_thoughts(self.context_management)
            ),
            response_format=None if output.format is None else JsonSchemaFormat(output.format.schema_),
            continues=continues or None,
            model=self.model,
            streamed=bool(self.stream),
        )

    def field_of(self, noun: str) -> str:
        """The field of this body that says `noun`. Places in lists are left out: nouns have other ones."""
        noun = re.sub(r"^(messages|tools)\[.*", r"\1", noun)
        if noun == "thinking.effort" and (self.output_config is None or self.output_config.effort is None):
            return "thinking"
        return _FIELDS.get(noun, noun.removeprefix("sampling."))
