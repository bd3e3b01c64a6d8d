"""The nouns that every layer shares: a conversation, a request for an answer, and the events an answer is made of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .sampling import SamplingParams

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


def new_call_id() -> str:
    """A fresh tool call id: ``call_`` and 24 random letters or digits."""
    return "call_" + secrets.token_hex(12)


# ---- a conversation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call in the history. `arguments` is the parsed object, or the client's own text where it was none."""

    id: str
    name: str
    arguments: dict[str, Any] | str


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is flattened to text, `tool_call_id` names the call that a tool message answers.

    `reasoning` is what the assistant thought before that answer, where the client sent it back.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call: the client's bare function object, keys in the client's order."""

    function: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.function["name"])


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What the answer has to be: any, no call, some call, or a call of the tool `name` (mode "named")."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Whether and how the model is to think first, as chat templates have it; None: as its generation does.

    `enabled` is the templates' `enable_thinking`; `effort` their `reasoning_effort`; `clear` their `clear_thinking`,
    whether the thoughts of earlier turns are left out of the prompt.
    """

    enabled: bool | None = None
    effort: str | None = None
    clear: bool | None = None

    @property
    def wanted(self) -> bool | None:
        """Whether it is to think at all: an effort of "none" says no, any other yes, unless `enabled` is set."""
        if self.enabled is not None or self.effort is None:
            return self.enabled
        return self.effort != "none"


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to be answered. `tools` is empty where the model must not call any.

    `choices` is how many answers are wanted, each drawn by itself.
    `body` is the JSON object that the client sent, for engines that hand it on to another server.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    sampling: SamplingParams = SamplingParams()
    choices: int = 1
    thinking: Thinking = Thinking()
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Bare prompts to be continued, each by itself and `choices` times: text, or token ids as they are.

    The answers are numbered prompt by prompt. `body` as in `ChatRequest`.
    """

    prompts: tuple[str | tuple[int, ...], ...]
    sampling: SamplingParams = SamplingParams()
    choices: int = 1
    body: Mapping[str, Any] = field(default_factory=dict)


# ---- an answer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request was checked and has its place in the queue: always the first event, and nothing to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfChoice:
    """What belongs to one of a request's answers: `choice` is its number, from 0."""

    choice: int = 0


@dataclass(frozen=True, slots=True)
class TextDelta(OfChoice):
    """More of the answer's content."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta(OfChoice):
    """More of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart(OfChoice):
    """A call begins: its place among the answer's calls (from 0), its id and its whole name."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta(OfChoice):
    """More of a call's arguments; joined, the fragments of one index are a JSON object."""

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallRepaired(OfChoice):
    """The call is whole, and something that it lacked was put right: what, one short phrase each. After its deltas."""

    index: int
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCallAbandoned(OfChoice):
    """The call that was begun turns out to be none: its raw text is content. A stream cannot take back what it sent."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Likelihood:
    """A token, its bytes (maybe part of a character) and the natural logarithm of its probability."""

    token: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenDrawn(OfChoice):
    """A token of the answer, where log probabilities are wanted: before the events of the text that it is part of.

    The probability is the model's own, before temperature, penalties and bias; `top` are the likeliest tokens. A token
    that was not drawn, because nothing else was allowed, has probability 1 and no `top`.
    """

    drawn: Likelihood
    top: tuple[Likelihood, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `cached_tokens` of the prompt were already in the KV cache.

    `details` are further fields of OpenAI's `usage` object, as JSON.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    details: Mapping[str, Any] = field(default_factory=dict)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            {**self.details, **other.details},
        )


@dataclass(frozen=True, slots=True)
class Timings:
    """How long an answer took, in seconds: from its turn to its first token, and from there to its last."""

    first_token: float
    generation: float


@dataclass(frozen=True, slots=True)
class Finish(OfChoice):
    """The answer's end: its last event, exactly once. No timings if the model chose no token.

    Of several answers to one prompt, the first one's `usage` counts the prompt.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings | None = None


ParserEvent = TextDelta | ReasoningDelta | ToolCallStart | ToolCallDelta | ToolCallRepaired | ToolCallAbandoned
AnswerEvent = ParserEvent | TokenDrawn | Finish
Event = Accepted | AnswerEvent


def tool_names(tools: Sequence[Tool]) -> list[str]:
    """The declared names, in order."""
    return [tool.name for tool in tools]
