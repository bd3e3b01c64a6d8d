"""The parameters that chat and bare completions share, and the treatment of those that chat.py has no noun for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SkipValidation, field_validator

from ...chat import JsonObject, ResponseFormat
from ...engine.capabilities import Capability
from ...errors import InvalidRequest, UnsupportedParameter
from ...log_once import log_once
from ...sampling import MAX_BIASES, MAX_STOP, NO_LIMIT, Sampling
from ..http.body import few_entries
from .fields import field_of
from .response_format import READERS, ResponseFormatBody, read_response_format

MAX_CHOICES = 128

NOT_CARRIED: Mapping[str, tuple[Any, ...]] = {
    "audio": (None,),
    "modalities": (None, ["text"]),
}
"""Fields that ask for something that our answers have no place for, each with the values that ask for nothing."""

PROMISES: Mapping[str, tuple[Any, ...]] = {
    "best_of": (None, 1),
    "echo": (None, False),
    "suffix": (None, ""),
}
"""Fields that another server may honour; one of our own engines cannot."""

HINTS = {
    *("store", "verbosity", "web_search_options", "metadata", "user"),
    *("prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
}
"""Fields that promise the client nothing about the answer."""

SPELLINGS = {
    *("max_completion_tokens", "reasoning", "reasoning_effort", "enable_thinking", "thinking"),
    *("chat_template_kwargs", "thinking_budget", "thinking_budget_tokens", "continue_final_message", *READERS),
    *("add_generation_prompt", "service_tier", "priority"),
}
"""Fields that say a noun in other words than the engine in front of another server would; see ``chat.py``."""


class Body(BaseModel):
    """A request body; fields it does not declare are kept, to be looked at."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    def sent(self) -> dict[str, Any]:
        """The fields that the client sent with a value; null counts as left out."""
        return {name: value for name in self.model_fields_set if (value := getattr(self, name)) is not None}


# Reports the first wrong entry only: a report of a million takes half a minute.
Bias = Annotated[
    dict[int, Annotated[float, Field(allow_inf_nan=False)]],
    BeforeValidator(lambda value: few_entries(value, "logit_bias", MAX_BIASES)),
]
Strings = Annotated[list[str], Field(fail_fast=True)]
TokenIds = Annotated[list[int], Field(fail_fast=True)]


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class Generation(Body):
    """How an answer is generated and sent. The engine that samples checks the bounds of numbers."""

    model: str | None = Field(
        None,
        description="the served model or an alias, or another of GET /v1/models, which is then loaded (--models-max)",
    )
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, description="new tokens at most; -1: as many as fit")
    temperature: float | None = Field(None, description="from 0 (greedy) to 2")
    top_p: float | None = Field(None, description="from 0 (greedy) to 1")
    top_k: int | None = Field(None, description="tokens to sample from; 0 or -1: all")
    min_p: float | None = Field(None, description="least probability, as a part of the likeliest's; from 0 to 1")
    repetition_penalty: float | None = Field(None, description="from 0.1 to 10; 1: none")
    presence_penalty: float | None = Field(None, description="from -2 to 2")
    frequency_penalty: float | None = Field(None, description="from -2 to 2")
    logit_bias: Bias | None = Field(None, description="token id → number to add to its logit, from -100 to 100")
    seed: int | None = Field(None, description="the same seed samples the same answer again")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="answers, each sampled by itself; see --parallel")
    ignore_eos: bool | None = Field(None, description="never end before max_tokens, for measuring")
    stop: str | Strings | None = Field(None, description=f"up to {MAX_STOP} strings that end the answer")
    stop_token_ids: TokenIds | None = Field(None, description="tokens that end the answer")
    timings_per_token: bool | None = Field(
        None, description="say how long the answer took; a stream says in each chunk how long it has taken"
    )
    service_tier: str | None = Field(None, description='"flex": nobody waits for the answer; other requests come first')
    priority: int | None = Field(None, description='above 0: as service_tier "flex"')
    return_progress: bool | None = Field(None, description="say in a stream how far a long prompt has been read")
    response_format: Annotated[ResponseFormatBody | None, SkipValidation] = None

    @field_validator("stop")
    @classmethod
    def _stop_strings(cls, value: str | list[str] | None) -> list[str] | None:
        return [value] if isinstance(value, str) else value

    @property
    def background(self) -> bool:
        """True if other requests come first."""
        return self.service_tier == "flex" or (self.priority or 0) > 0

    @property
    def include_usage(self) -> bool:
        """True if a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def field_of(self, noun: str) -> str:
        """The field of this body that says `noun`."""
        return field_of(noun, self.sent())

    def sampling(self, max_tokens: int | None, top_logprobs: int | None) -> Sampling:
        """The sampling that the client asked for."""
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repetition_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            logit_bias=None if self.logit_bias is None else tuple(self.logit_bias.items()),
            seed=self.seed,
            top_logprobs=top_logprobs,
            ignore_eos=self.ignore_eos,
            max_tokens=max_tokens,
            stop=None if self.stop is None else tuple(self.stop),
            stop_token_ids=None if self.stop_token_ids is None else tuple(self.stop_token_ids),
        )

    def answer_format(self, extras: dict[str, Any], *, foreign: bool) -> ResponseFormat | None:
        """The form that the answer must have. `foreign`: one that only another server knows is added to `extras`.

        Raises: InvalidRequest, UnsupportedParameter.
        """
        try:
            return read_response_format(self.sent() | (self.model_extra or {}))
        except InvalidRequest:
            if not foreign:
                raise
            if self.response_format is not None:
                extras["response_format"] = self.response_format
            return None

    def extras(self, capabilities: frozenset[Capability]) -> JsonObject:
        """The fields that only another server may understand, and the client's spellings of nouns.

        An engine of our own reads none of them. Hints and unknown fields are logged, each name once.

        Raises: UnsupportedParameter for a field that asks for what cannot be done or shown; InvalidRequest.
        """
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest('stream_options needs "stream": true', param="stream_options")
        sent, further = self.sent(), self.model_extra or {}
        check_neutral(NOT_CARRIED, sent)
        if Capability.EXTRAS in capabilities:
            extras = {**further, **{name: sent[name] for name in SPELLINGS if name in sent}}
            if "max_tokens" in sent and ("max_completion_tokens" in extras or self.max_tokens == NO_LIMIT):
                extras["max_tokens"] = sent["max_tokens"]
            if self.stream_options is not None:
                extras["stream_options"] = self.stream_options.model_dump(exclude_unset=True)
            return extras
        check_neutral(PROMISES, {name: sent.get(name) for name in further})
        read = {*PROMISES, *NOT_CARRIED, *SPELLINGS}
        log_ignored(name for name in further if name not in read and name in sent)
        return {}


def check_neutral(neutral: Mapping[str, tuple[Any, ...]], sent: Mapping[str, Any]) -> None:
    """Raises: UnsupportedParameter for a field whose value is not among those that ask for nothing."""
    for name, values in neutral.items():
        if not any(_same(sent.get(name), value) for value in values):
            raise UnsupportedParameter(f"this server cannot honour {name!r}; leave it out", param=name)


def log_ignored(names: Iterable[str]) -> None:
    """Say once of each name that the field changes nothing."""
    for name in names:
        kind = "hint" if name in HINTS else "unknown request field"
        log_once(f"ignoring the {kind} {name[:64]!r}")


def _same(value: object, neutral: object) -> bool:
    """Equality that keeps `true` and 1 apart, as JSON does."""
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)
