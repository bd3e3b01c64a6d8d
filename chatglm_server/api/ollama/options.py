"""How an answer is made: ``options``, ``format`` and ``think``, and their way into the nouns of chat.py."""

from __future__ import annotations

import math
import re
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from ...chat import JsonObjectFormat, JsonSchemaFormat, ResponseFormat, Thinking
from ...errors import InvalidRequest
from ...log_once import log_once
from ...sampling import MAX_STOP, NO_LIMIT, Sampling
from ..openai.parameters import Strings, log_ignored
from ..openai.thinking import Effort
from ..validation import read

_NUMBER = r"[0-9]{1,18}(?:\.[0-9]{0,18})?"
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = f"({_NUMBER})(ns|us|µs|ms|s|m|h)"
_ALWAYS_S = 1e9  # 30 years


class Options(BaseModel):
    """The options that change something here. The others are about how Ollama loads models."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)

    temperature: float | None = Field(None, description="from 0 (greedy) to 2")
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    seed: int | None = Field(None, description="-1: another answer each time")
    num_predict: int | None = Field(None, description="new tokens at most; less than 0: as many as fit")
    stop: str | Strings | None = Field(None, description=f"up to {MAX_STOP} strings that end the answer")
    repeat_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    num_ctx: int | None = Field(None, description="changes nothing: see --context-length")

    def sampling(self, top_logprobs: int | None) -> Sampling:
        """The sampling that the client asked for. Logs options that change nothing, each once."""
        log_ignored(f"options.{name}" for name in self.model_extra or ())
        endless = self.num_predict is not None and self.num_predict < 0
        return Sampling(
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            min_p=self.min_p,
            repetition_penalty=self.repeat_penalty,
            presence_penalty=self.presence_penalty,
            frequency_penalty=self.frequency_penalty,
            seed=None if self.seed == -1 else self.seed,
            top_logprobs=top_logprobs,
            max_tokens=NO_LIMIT if endless else self.num_predict,
            stop=None if self.stop is None else (self.stop,) if isinstance(self.stop, str) else tuple(self.stop),
        )

    def note_context(self, context_length: int) -> None:
        """Log once that a client wants more context than this server's `context_length`, if that is known."""
        if self.num_ctx is not None and 0 < context_length < self.num_ctx:
            log_once(f"ignoring options.num_ctx: this server's context is {context_length} (see --context-length)")


def read_format(value: Any) -> ResponseFormat | None:
    """The form that the answer must have. Raises: InvalidRequest."""
    if value in (None, ""):
        return None
    if value == "json":
        return JsonObjectFormat()
    if isinstance(value, dict):
        return JsonSchemaFormat(value)
    raise InvalidRequest('format: must be "json" or a JSON schema, an object', param="format")


def read_thinking(value: Any) -> Thinking:
    """Whether to think, or how much. Raises: InvalidRequest."""
    if value is None:
        return Thinking()
    if isinstance(value, bool):
        return Thinking(enabled=value)
    return Thinking(effort=read(Effort, value, "think"))


def read_keep_alive(value: Any) -> float | None:
    """The seconds of a ``keep_alive``, infinite for a number below 0. Raises: InvalidRequest."""
    if value is None:
        return None
    seconds = _duration(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds):
        raise InvalidRequest('keep_alive: must be seconds, or a text such as "5m" or "1h30m"', param="keep_alive")
    return math.inf if seconds < 0 or seconds > _ALWAYS_S else float(seconds)


def _duration(text: str) -> float | None:
    """The seconds of a duration as Go writes it, or of a number; None if it is neither."""
    sign = -1 if text.startswith("-") else 1
    digits = text[1:] if text.startswith(("+", "-")) else text
    if re.fullmatch(_NUMBER, digits):
        return sign * float(digits)
    parts = re.findall(_PART, digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits:
        return None
    return sign * sum(float(number) * _UNITS[unit] for number, unit in parts)
