"""What tells requests apart, what begins an answer, and what the client hears if all servers fail."""

from __future__ import annotations

from typing import Any

import pytest

from chatglm_server.engine.upstream.failover import all_failed, goes_elsewhere
from chatglm_server.engine.upstream.prefix_keys import SHORTEST, prefix_keys
from chatglm_server.engine.upstream.relay import begins
from chatglm_server.errors import (
    ChatGLMServerError,
    ContextLengthExceeded,
    QueueFull,
    ShuttingDown,
    UpstreamError,
    UpstreamFailure,
    UpstreamTimeout,
    UpstreamUnreachable,
)

SYSTEM = {"role": "system", "content": "Be short."}
ASK = {"role": "user", "content": "1+2?"}
TOOLS = [{"type": "function", "function": {"name": "add"}}]
BODY: dict[str, Any] = {"model": "m", "messages": [SYSTEM, ASK], "tools": TOOLS}


def test_all_turns_of_a_conversation_have_one_key() -> None:
    further = [{"role": "assistant", "content": "3"}, {"role": "user", "content": "And 3+4?"}]
    (key,) = prefix_keys(BODY)
    assert prefix_keys(BODY | {"messages": [SYSTEM, ASK, *further], "temperature": 0.5, "stream": True}) == [key]
    others = [
        BODY | {"model": "n"},
        BODY | {"tools": []},
        BODY | {"messages": [ASK]},
        BODY | {"messages": [SYSTEM, ASK | {"content": "1+3?"}]},
    ]
    assert len({key, *(other for body in others for other in prefix_keys(body))}) == 5


@pytest.mark.parametrize("kind", ["text", "tokens"])
def test_bare_prompts_share_the_keys_of_what_they_have_in_common(kind: str) -> None:
    numbers = list(range(9 * SHORTEST))
    whole: Any = "".join(chr(1000 + number) for number in numbers) if kind == "text" else numbers
    end = whole[:1]

    def keys(prompt: object, **fields: object) -> list[bytes]:
        return prefix_keys({"model": "m", "prompt": prompt, **fields})

    known = keys(whole)
    assert len(known) == len(set(known)) == 4  # for 1, 2, 4 and 8 times the shortest
    assert keys(whole + end, temperature=0.5) == known
    assert keys(whole[: 5 * SHORTEST] + end) == known[:3]
    assert keys(whole[: 3 * SHORTEST] + end + whole[3 * SHORTEST :])[:2] == known[:2]
    assert not set(keys(whole[: 3 * SHORTEST] + end + whole[3 * SHORTEST :])[2:]) & set(known)
    assert not set(keys(end + whole)) & set(known)
    assert not set(keys(whole, model="n")) & set(known)
    assert keys(whole[: SHORTEST - 1]) == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}, False),
        ({"choices": [{"delta": {"role": "assistant", "content": None}}]}, False),
        ({"choices": [], "usage": {"prompt_tokens": 1}}, False),
        ({"choices": "x"}, False),
        ({"choices": [1, {"delta": 1}]}, False),
        ({}, False),
        ({"choices": [{"delta": {"content": "H"}}]}, True),
        ({"choices": [{"delta": {"reasoning_content": "H"}}]}, True),
        ({"choices": [{"delta": {}}, {"delta": {"tool_calls": [{"index": 0}]}}]}, True),
        ({"choices": [{"delta": {}, "finish_reason": "stop"}]}, True),
        ({"choices": [{"message": {"role": "assistant", "content": "Hi"}}]}, True),
        ({"choices": [{"text": "Hi"}]}, True),
    ],
)
def test_a_role_does_not_begin_an_answer(value: dict[str, Any], expected: bool) -> None:
    assert begins(value) is expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UpstreamUnreachable("x"), True),
        (UpstreamFailure("x"), True),
        (UpstreamTimeout("x"), True),
        (QueueFull("x"), True),
        *((UpstreamError("x", status=status), True) for status in (429, 502, 503)),
        *((UpstreamError("x", status=status), False) for status in (400, 401, 404, 413, 500, 504)),
        (ContextLengthExceeded("x", length=2, limit=1), False),
        (ShuttingDown("x"), False),
    ],
)
def test_only_a_fault_of_the_server_sends_a_request_elsewhere(error: ChatGLMServerError, expected: bool) -> None:
    assert goes_elsewhere(error) is expected


def test_the_reasons_of_all_are_named() -> None:
    errors = {
        "http://a/v1": UpstreamError("no slot", status=503),
        "http://b/v1": UpstreamTimeout("http://b/v1 is silent"),
    }
    error = all_failed(errors)
    assert (error.status, error.code) == (502, "upstream_unreachable")
    assert error.message == (
        "none of the 2 backends answers: the backend at http://a/v1 answered 503: no slot; http://b/v1 is silent; "
        "start one, and try again"
    )
    assert all_failed(dict([*errors.items()][:1])) is errors["http://a/v1"]
