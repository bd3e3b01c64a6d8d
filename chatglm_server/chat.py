"""The nouns that every layer shares: a conversation, a request for an answer, and the events an answer is made of.

A dialect (``api/``) reads its client's body into these nouns; an engine (``engine/``) reads nothing else. An optional
field is None if the client did not say: an engine of our own then takes a default, another server is not sent it.

The fields `extras` and `foreign_tools` hold what only another server may understand, spelled as in OpenAI's chat API.
Only the engine in front of such a server reads them. Where OpenAI's clients have several spellings of a noun
(`thinking`, `sampling.max_tokens`, `response_format`), `extras` also hold the client's own spelling: it goes out in
place of the noun.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .sampling import GLM_DEFAULTS, Sampling, SamplingParams

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
JsonValue: TypeAlias = "bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue] | None"
JsonObject: TypeAlias = Mapping[str, JsonValue]


def new_call_id() -> str:
    """A fresh tool call id: ``call_`` and 24 random letters or digits."""
    return "call_" + secrets.token_hex(12)


# ---- a conversation -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call in the history. `arguments` is the parsed object, or the client's own text if it is not an object.

    `text` is the JSON text that the client sent, for servers that want it unchanged; "" if it sent no text.
    """

    id: str
    name: str
    arguments: dict[str, Any] | str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `content` is flattened to text, `tool_call_id` names the call that a tool message answers.

    `reasoning` is what the assistant thought before that answer, if the client sent it back. `name` is the speaker's,
    or the tool's. `parts` are the client's content parts if it sent a list; `content` holds the text among them.
    `extras` are further keys of the client's message, and keys whose value the other fields cannot say (``"content":
    null``, an unknown role, calls of tools that are not functions): they replace the other fields.
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str = ""
    name: str | None = None
    parts: tuple[JsonObject, ...] = ()
    extras: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call: the client's bare function object, keys in the client's order.

    `extras` are the keys that the client put beside the function object. With an `input_form` the function has one
    argument, a string, which is in this form; the syntax of a grammar is "lark".
    """

    function: dict[str, Any]
    extras: JsonObject = field(default_factory=dict)
    input_form: RegexFormat | GrammarFormat | None = None

    @property
    def name(self) -> str:
        return str(self.function["name"])


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """The calls that the answer must hold: any number, none, at least one, or one of the tool `name` (mode "named").

    `mode` None: the client did not say, which means "auto". `allowed`: the only tools that may be called; None: all.
    """

    mode: Literal["auto", "none", "required", "named"] | None = None
    name: str | None = None
    allowed: tuple[str, ...] | None = None


# ---- a request ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Thinking:
    """How the model is to think first, and if at all. All None: as its generation does.

    `enabled` says whether; `effort` how much ("none" to "max"), which is a hint to models that cannot choose;
    `clear` whether the thoughts of earlier turns are left out of the prompt; `budget` is a limit in tokens.
    """

    enabled: bool | None = None
    effort: str | None = None
    clear: bool | None = None
    budget: int | None = None

    @property
    def wanted(self) -> bool | None:
        """True if it is to think, None if not said. `enabled` decides, or else an effort other than "none"."""
        if self.enabled is not None or self.effort is None:
            return self.enabled
        return self.effort != "none"


@dataclass(frozen=True, slots=True)
class TextFormat:
    """The answer is free text: what the model writes without a format, said explicitly."""


@dataclass(frozen=True, slots=True)
class JsonObjectFormat:
    """The answer is any JSON object."""


@dataclass(frozen=True, slots=True)
class JsonSchemaFormat:
    """The answer is JSON that fits `schema`. `strict`: the schema is binding, None: the client did not say."""

    schema: JsonValue
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(frozen=True, slots=True)
class RegexFormat:
    """The whole answer matches `pattern`."""

    pattern: str


@dataclass(frozen=True, slots=True)
class ChoiceFormat:
    """The answer is one of `options`."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GrammarFormat:
    """The answer is a sentence of `grammar`; `syntax` names its notation ("gbnf", "lark", "ebnf"), None: not said."""

    grammar: str
    syntax: str | None = None


ResponseFormat = TextFormat | JsonObjectFormat | JsonSchemaFormat | RegexFormat | ChoiceFormat | GrammarFormat


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A conversation to be answered.

    `model` is the name that the client asked for. `streamed`: the client reads the answer while it is generated.
    `choices` is how many answers are wanted, each sampled by itself. `continues`: the last message is the beginning of
    the answer; None: only if it is text of the assistant. `prediction` is text that much of the answer is expected to
    be like; it changes only how soon that comes. `background`: nobody waits for the answer, so that other requests come
    first. `max_wait_s`: seconds that the client is willing to wait for the first token; None: any number.
    `keep_alive_s`: seconds after the answer that the model is to stay in memory; None: as the server was told.
    `timed`: an engine of our own sends `AnswerWritten`. `foreign_tools` are tools that are not functions. `defaults` is
    how an engine of our own samples where `sampling` does not say; another server has defaults of its own.
    `extras`: see the module's docstring.
    """

    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    sampling: Sampling = Sampling()
    choices: int | None = None
    thinking: Thinking = Thinking()
    response_format: ResponseFormat | None = None
    continues: bool | None = None
    prediction: str | None = None
    background: bool = False
    max_wait_s: float | None = None
    timed: bool = False
    keep_alive_s: float | None = None
    model: str | None = None
    streamed: bool = False
    defaults: SamplingParams = GLM_DEFAULTS
    foreign_tools: tuple[JsonObject, ...] = ()
    extras: JsonObject = field(default_factory=dict)

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that the answer may call: none with the mode "none", else those allowed."""
        choice = self.tool_choice
        if choice.mode == "none":
            return ()
        return tuple(tool for tool in self.tools if choice.allowed is None or tool.name in choice.allowed)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """Bare prompts to be continued, each by itself and `choices` times: text, or token ids as they are.

    The answers are numbered prompt by prompt. `suffix` is the text after the gap to be filled; `echo`: the answer
    begins with the prompt; `best_of`: how many answers are sampled; the likeliest are given. The other fields
    are those of `ChatRequest`.
    """

    prompts: tuple[str | tuple[int, ...], ...]
    sampling: Sampling = Sampling()
    choices: int | None = None
    suffix: str | None = None
    echo: bool | None = None
    best_of: int | None = None
    response_format: ResponseFormat | None = None
    background: bool = False
    max_wait_s: float | None = None
    timed: bool = False
    keep_alive_s: float | None = None
    model: str | None = None
    streamed: bool = False
    defaults: SamplingParams = GLM_DEFAULTS
    extras: JsonObject = field(default_factory=dict)


# ---- an answer ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """The request was checked and has its place in the queue: always the first event, with nothing to send.

    `model` is the model that answers, if that is not the engine's own: another server's. `prompt_tokens` is the length
    of all prompts, 0 if it is not known.
    """

    model: str | None = None
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceEvent:
    """An event of one of a request's answers: `choice` is its number, from 0."""

    choice: int = 0


@dataclass(frozen=True, slots=True)
class PromptRead(ChoiceEvent):
    """How far a long prompt is read: `read` of its `tokens`, after `seconds`. `cached` of them were in the KV cache.

    Only engines of our own send it, before anything of the answer.
    """

    tokens: int
    cached: int
    read: int
    seconds: float

    @property
    def seconds_left(self) -> float:
        """As long as the rest will take at the same speed."""
        return self.seconds * (self.tokens - self.read) / max(1, self.read - self.cached)


@dataclass(frozen=True, slots=True)
class TextDelta(ChoiceEvent):
    """More of the answer's content."""

    text: str


@dataclass(frozen=True, slots=True)
class ReasoningDelta(ChoiceEvent):
    """More of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStart(ChoiceEvent):
    """A call begins: its place among the answer's calls (from 0), its id and its whole name."""

    index: int
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta(ChoiceEvent):
    """More of a call's arguments; joined, the fragments of one index are a JSON object, unless it is abandoned.

    They come before the next call begins.
    """

    index: int
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolCallRepaired(ChoiceEvent):
    """The call is complete, and was repaired: each repair in one short phrase. Comes after the call's deltas."""

    index: int
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCallAbandoned(ChoiceEvent):
    """The output was cut off (reason "length") inside the call that began: the block's text is content.

    A stream cannot take back what it sent of the call, so the fragments of that index stay incomplete.
    """

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, its bytes (maybe part of a character) and the natural logarithm of its probability."""

    token: str
    bytes: bytes
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenSampled(ChoiceEvent):
    """A token of the answer, if log probabilities are wanted: before the events of the text that it is part of.

    The probability is the model's own, before temperature, penalties and bias; `top` are the likeliest tokens. A token
    that was forced, because nothing else was allowed, has probability 1 and an empty `top`.
    """

    sampled: TokenLogprob
    top: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts. `cached_tokens` of the prompt were already in the KV cache.

    `reasoning_tokens` of the completion are thoughts; None if they are not counted. `details` are further fields that
    another server reports, as in OpenAI's `usage` object. Of the tokens that were guessed ahead, `accepted_tokens` were
    right and are part of the completion, `rejected_tokens` are not; None if none are guessed.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    details: JsonObject = field(default_factory=dict)
    reasoning_tokens: int | None = None
    accepted_tokens: int | None = None
    rejected_tokens: int | None = None

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            {**self.details, **other.details},
            _sum(self.reasoning_tokens, other.reasoning_tokens),
            _sum(self.accepted_tokens, other.accepted_tokens),
            _sum(self.rejected_tokens, other.rejected_tokens),
        )


def _sum(*counts: int | None) -> int | None:
    """The sum of those that are known; None if none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


@dataclass(frozen=True, slots=True)
class Timings:
    """How long an answer took, in seconds: from its turn to its first token, and from there to its last.

    `generation` is 0 if all of the answer came at once: it then says nothing about speed.
    """

    first_token: float
    generation: float


@dataclass(frozen=True, slots=True)
class AnswerWritten(ChoiceEvent):
    """How far the answer is: before the events that its last tokens bring, if the request is `timed`.

    `usage` and `timings` are those that `Finish` would have if the answer ended here.
    """

    usage: Usage
    timings: Timings


@dataclass(frozen=True, slots=True)
class Finish(ChoiceEvent):
    """The answer's end: its last event, exactly once. `timings` is None if the model sampled no token.

    Of several answers to one prompt, the first one's `usage` counts the prompt. `stop_string` is the one of
    `Sampling.stop` that ended the answer; None if another thing did, or another server did not say.
    """

    reason: FinishReason
    usage: Usage
    timings: Timings | None = None
    stop_string: str | None = None


ParserEvent = TextDelta | ReasoningDelta | ToolCallStart | ToolCallDelta | ToolCallRepaired | ToolCallAbandoned
AnswerEvent = PromptRead | ParserEvent | TokenSampled | AnswerWritten | Finish
Event = Accepted | AnswerEvent
