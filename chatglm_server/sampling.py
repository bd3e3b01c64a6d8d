"""How tokens are drawn."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How tokens are drawn. A temperature of 0 is greedy; `max_tokens` counts new tokens, None: up to the context.

    `logit_bias` holds (token id, what is added to its logit). With the same `seed` the same is drawn again.
    `top_logprobs`: how many likeliest tokens to report with each token's log probability; None: report neither.
    `ignore_eos` keeps the model from ending its answer. A token of `stop_token_ids` ends it and is no part of it.
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
