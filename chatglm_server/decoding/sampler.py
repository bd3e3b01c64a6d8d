"""The sampler of every backend that gives logits: the core's, made for one answer."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import chatglm_native

from ..sampling import SamplingParams


def make_sampler(prompt: Sequence[int], sampling: SamplingParams, answer: int) -> chatglm_native.Sampler:
    """A sampler for the answer number `answer` to `prompt`; without a seed it has a random one."""
    return chatglm_native.Sampler(
        prompt,
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
        repetition_penalty=sampling.repetition_penalty,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        bias=sampling.logit_bias,
        seed=secrets.randbits(64) if sampling.seed is None else sampling.seed % 2**64,
        answer=answer,
        top_logprobs=-1 if sampling.top_logprobs is None else sampling.top_logprobs,
    )
