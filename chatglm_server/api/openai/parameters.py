"""The parameters that chat and bare completions share: what is honoured, what is refused, what is ignored."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from ...errors import InvalidRequest, UnsupportedParameter
from ...sampling import Sampling

MAX_STOP = 16
MAX_CHOICES = 128
MAX_ENTRIES = 1024
MAX_TOP_LOGPROBS = 20

NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (None,),
    "best_of": (None, 1),
    "echo": (None, False),
    "frequency_penalty": (None, 0),
    "function_call": (None, "none"),
    "functions": (None, []),
    "ignore_eos": (None, False),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "min_p": (None, 0),
    "modalities": (None, ["text"]),
    "n": (None, 1),
    "prediction": (None,),
    "presence_penalty": (None, 0),
    "reasoning_effort": (None, "none"),
    "response_format": (None, {"type": "text"}),
    "seed": (None,),
    "service_tier": (None, "auto", "default"),
    "stop_token_ids": (None, []),
    "store": (None, False),
    "suffix": (None, ""),
    "top_logprobs": (None, 0),
    "verbosity": (None, "medium"),
    "web_search_options": (None,),
}
"""Known parameters that engines cannot honour, or not all of them, each with the values that ask for nothing."""

REMEDY = {"functions": "use tools", "function_call": "use tool_choice", "n": "send the request n times"}
IGNORED = {"user", "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"}
"""Parameters that do not concern the answer."""

_log = logging.getLogger("chatglm_server")
_logged: set[str] = set()


class Body(BaseModel):
    """A request body; fields it does not declare are kept, to be looked at."""

    model_config = ConfigDict(extra="allow")

    def check_parameters(self, honoured: Collection[str]) -> None:
        """Those of `NEUTRAL` must ask for nothing, unless they are `honoured`.

        Raises: UnsupportedParameter. Logs the names nobody knows, each once.
        """
        for name in self.model_fields_set:
            value = getattr(self, name)
            if name in NEUTRAL:
                if name not in honoured:
                    check_neutral(name, value)
            elif name in type(self).model_fields:
                continue
            elif name not in IGNORED and name not in _logged and len(_logged) < 100:
                _logged.add(name)
                _log.info("ignoring the unknown request field %r", name[:64])


def check_neutral(name: str, value: object) -> None:
    """Raises: UnsupportedParameter unless `value` asks for nothing."""
    if not any(_same(value, neutral) for neutral in NEUTRAL[name]):
        remedy = REMEDY.get(name, "leave it out")
        raise UnsupportedParameter(f"this server's engine cannot honour {name!r}; {remedy}", param=name)


def _same(value: object, neutral: object) -> bool:
    """Equality that keeps `true` and 1 apart, as JSON does."""
    return value == neutral and isinstance(value, bool) == isinstance(neutral, bool)


def few_entries(value: object) -> object:
    """An object, if it is no larger than any that makes sense. Raises: ValueError."""
    if isinstance(value, dict) and len(value) > MAX_ENTRIES:
        raise ValueError(f"at most {MAX_ENTRIES} entries, not {len(value)}")
    return value


# Of a million wrong entries or items not each is to become an error: that takes half a minute.
Bias = Annotated[dict[int, Annotated[float, Field(ge=-100, le=100)]], BeforeValidator(few_entries)]
Strings = Annotated[list[str], Field(fail_fast=True)]
TokenIds = Annotated[list[int], Field(fail_fast=True)]


class StreamOptions(BaseModel):
    """OpenAI's `stream_options`."""

    include_usage: bool | None = None


class Generation(Body):
    """How an answer is to be generated and sent."""

    model: str | None = Field(None, description="the served model's id or one of its aliases")
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(None, ge=1, description="new tokens at most")
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1, le=1 << 20, description="tokens to draw from; 0 or -1: all")
    min_p: float | None = Field(None, ge=0, le=1, description="least probability, as a part of the likeliest's")
    repetition_penalty: float | None = Field(None, ge=0.1, le=10)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    logit_bias: Bias | None = Field(None, description="token id → what is added to its logit, from -100 to 100")
    seed: int | None = Field(None, ge=-(2**63), lt=2**64, description="the same seed draws the same answer again")
    n: int | None = Field(None, ge=1, le=MAX_CHOICES, description="answers, each drawn by itself; see --parallel")
    ignore_eos: bool | None = Field(None, description="never end before max_tokens, for measuring")
    stop: str | Strings | None = Field(None, description=f"up to {MAX_STOP} strings that end the answer")
    stop_token_ids: TokenIds | None = Field(None, max_length=MAX_ENTRIES, description="tokens that end the answer")

    @property
    def include_usage(self) -> bool:
        """Whether a stream is to end with a usage chunk."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @field_validator("logit_bias", "stop_token_ids")
    @classmethod
    def _token_ids(cls, value: Collection[int] | None) -> Collection[int] | None:
        if value and min(value) < 0:
            raise ValueError("token ids are not negative")
        return value

    @field_validator("stop")
    @classmethod
    def _stop_strings(cls, value: str | list[str] | None) -> list[str]:
        strings = [value] if isinstance(value, str) else value or []
        if len(strings) > MAX_STOP:
            raise ValueError(f"at most {MAX_STOP} stop strings, not {len(strings)}")
        if any(not 1 <= len(string) <= 1000 for string in strings):
            raise ValueError("a stop string has 1 to 1000 characters")
        return strings

    def sampling(self, max_tokens: int | None, top_logprobs: int | None) -> Sampling:
        """What the client said of sampling."""
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

    def check_stream_options(self) -> None:
        """Raises: InvalidRequest."""
        if self.stream_options is not None and not self.stream:
            raise InvalidRequest('stream_options needs "stream": true', param="stream_options")
