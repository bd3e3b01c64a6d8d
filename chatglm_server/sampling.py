"""How tokens are sampled: what a client asked for, and what an engine does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .errors import InvalidRequest

NO_LIMIT = -1
"""`Sampling.max_tokens` of a client that wants as many tokens as fit."""

MAX_STOP = 16
MAX_STOP_LENGTH = 1000
MAX_STOP_TOKENS = 1024
MAX_BIASES = 1024
MAX_TOP_LOGPROBS = 20
MAX_TOP_K = 1 << 20


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How an engine samples. A temperature of 0 is greedy; `max_tokens` counts new tokens, None: up to the context.

    `logit_bias` holds pairs: a token id, and a number to add to its logit. The same `seed` samples the same again.
    `top_logprobs`: how many likeliest tokens to report with each token's log probability; None: report neither.
    `ignore_eos` keeps the model from ending its answer. A token of `stop_token_ids` ends it without being part of it.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    seed: int | None = None
    top_logprobs: int | None = None
    ignore_eos: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()


GLM_DEFAULTS = SamplingParams(temperature=0.8, top_k=50)
"""The temperature that the GLM models recommend, and no tail of unlikely tokens."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """The sampling that a client asked for: the fields of `SamplingParams`, each None where it did not say.

    Values are as the client sent them: `top_p` may be 0 (greedy), `top_k` 0 or -1 (all tokens), `max_tokens`
    `NO_LIMIT`. Only an engine that samples itself checks them, by `resolved`.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: tuple[tuple[int, float], ...] | None = None
    seed: int | None = None
    top_logprobs: int | None = None
    ignore_eos: bool | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    stop_token_ids: tuple[int, ...] | None = None

    def resolved(self, defaults: SamplingParams = GLM_DEFAULTS) -> SamplingParams:
        """Returns the client's values, else the `defaults`.

        Raises: InvalidRequest for a value out of bounds.
        """
        stop, stop_tokens = self.stop or (), self.stop_token_ids or ()
        _check_count("stop", stop, MAX_STOP)
        if any(not 1 <= len(text) <= MAX_STOP_LENGTH for text in stop):
            raise InvalidRequest(f"a stop string has 1 to {MAX_STOP_LENGTH} characters", param="sampling.stop")
        _check_count("stop_token_ids", stop_tokens, MAX_STOP_TOKENS)
        biases = self.logit_bias or ()
        _check_count("logit_bias", biases, MAX_BIASES)
        for name, tokens in (("stop_token_ids", stop_tokens), ("logit_bias", [token for token, _ in biases])):
            if tokens and min(tokens) < 0:
                raise InvalidRequest("token ids are not negative", param=f"sampling.{name}")
        for _, bias in biases:
            _within("logit_bias", bias, -100, 100, 0)
        top_p = _within("top_p", self.top_p, 0, 1, defaults.top_p)
        temperature = _within("temperature", self.temperature, 0, 2, defaults.temperature)
        return SamplingParams(
            temperature=temperature if top_p > 0 else 0.0,
            top_p=top_p if top_p > 0 else 1.0,
            top_k=max(0, int(_within("top_k", self.top_k, -1, MAX_TOP_K, defaults.top_k))),
            min_p=_within("min_p", self.min_p, 0, 1, defaults.min_p),
            repetition_penalty=_within(
                "repetition_penalty", self.repetition_penalty, 0.1, 10, defaults.repetition_penalty
            ),
            presence_penalty=_within("presence_penalty", self.presence_penalty, -2, 2, defaults.presence_penalty),
            frequency_penalty=_within("frequency_penalty", self.frequency_penalty, -2, 2, defaults.frequency_penalty),
            logit_bias=biases,
            seed=None if self.seed is None else int(_within("seed", self.seed, -(2**63), 2**64 - 1, 0)),
            top_logprobs=self._top_logprobs(),
            ignore_eos=bool(self.ignore_eos),
            max_tokens=self._max_tokens(defaults),
            stop=stop,
            stop_token_ids=stop_tokens,
        )

    def _top_logprobs(self) -> int | None:
        top = self.top_logprobs
        return None if top is None else int(_within("top_logprobs", top, 0, MAX_TOP_LOGPROBS, 0))

    def _max_tokens(self, defaults: SamplingParams) -> int | None:
        if self.max_tokens is None:
            return defaults.max_tokens
        if self.max_tokens == NO_LIMIT:
            return None
        if self.max_tokens < 1:
            raise InvalidRequest(
                f"{self.max_tokens} new tokens: ask for at least 1, or for {NO_LIMIT} to get as many as fit",
                param="sampling.max_tokens",
            )
        return self.max_tokens


def _check_count(name: str, values: Sequence[object], most: int) -> None:
    if len(values) > most:
        raise InvalidRequest(f"at most {most} entries, not {len(values)}", param=f"sampling.{name}")


def _within(name: str, value: float | None, least: float, most: float, default: float) -> float:
    """`value`, or the default for None. Raises: InvalidRequest unless it is from `least` to `most`."""
    if value is None:
        return default
    if not least <= value <= most:
        raise InvalidRequest(f"from {least} to {most}, not {value!r:.40}", param=f"sampling.{name}")
    return value
