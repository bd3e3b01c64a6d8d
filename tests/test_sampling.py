"""What a client asks for, resolved to what an engine does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chatglm_server.api.glm.bodies import GLMChatBody
from chatglm_server.api.openai.bodies import ChatCompletionBody, CompletionBody
from chatglm_server.errors import InvalidRequest
from chatglm_server.sampling import GLM_DEFAULTS, NO_LIMIT, Sampling, SamplingParams

MESSAGES = [{"role": "user", "content": "Hi"}]


def test_each_way_in_has_its_own_defaults() -> None:
    chat = ChatCompletionBody.model_validate({"messages": MESSAGES}).to_request(frozenset())
    bare = CompletionBody.model_validate({"prompt": "Hi"}).to_request(frozenset())
    glm = GLMChatBody.model_validate({"messages": MESSAGES}).to_request(frozenset())
    assert chat.sampling == bare.sampling == glm.sampling == Sampling()
    resolved = [request.sampling.resolved(request.defaults) for request in (chat, bare, glm)]
    assert resolved == [
        SamplingParams(temperature=0.8, top_k=50),
        SamplingParams(temperature=0.8, top_k=50, max_tokens=16),
        SamplingParams(temperature=0.7, top_k=50, repetition_penalty=1.1, max_tokens=4096),
    ]


@pytest.mark.parametrize(
    ("asked", "change"),
    [
        (Sampling(), {}),
        (Sampling(top_p=0, temperature=2), {"temperature": 0, "top_p": 1}),
        (Sampling(top_k=-1), {"top_k": 0}),
        (Sampling(max_tokens=NO_LIMIT), {"max_tokens": None}),
        (Sampling(max_tokens=3, stop=("x",), seed=-1), {"max_tokens": 3, "stop": ("x",), "seed": -1}),
        (Sampling(top_logprobs=0, ignore_eos=True), {"top_logprobs": 0, "ignore_eos": True}),
        (Sampling(logit_bias=((1, -100.0),), min_p=0.5), {"logit_bias": ((1, -100.0),), "min_p": 0.5}),
    ],
)
def test_resolved(asked: Sampling, change: dict[str, Any]) -> None:
    defaults = replace(GLM_DEFAULTS, max_tokens=16)
    assert asked.resolved(defaults) == replace(defaults, **change)


@pytest.mark.parametrize(
    "asked",
    [
        {"temperature": 2.1},
        {"temperature": float("nan")},
        {"top_p": -0.1},
        {"top_k": -2},
        {"top_k": 10**400},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"presence_penalty": 3},
        {"frequency_penalty": -3},
        {"logit_bias": ((1, 101.0),)},
        {"logit_bias": ((-1, 1.0),)},
        {"logit_bias": tuple((token, 0.0) for token in range(1025))},
        {"seed": 2**64},
        {"top_logprobs": 21},
        {"max_tokens": 0},
        {"max_tokens": -2},
        {"stop": ("",)},
        {"stop": ("x",) * 17},
        {"stop_token_ids": (-1,)},
        {"stop_token_ids": tuple(range(1025))},
    ],
    ids=lambda asked: str(asked)[:40],
)
def test_out_of_bounds(asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Sampling(**asked).resolved()
    (name,) = asked
    assert caught.value.param == f"sampling.{name}"
    assert len(caught.value.message) < 200
