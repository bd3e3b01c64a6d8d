"""How tokens are drawn: seeds, penalties, biases and where an answer ends, over the wire with the demo model."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.serving import RunningServer, user

UNSURE = {"prompt": [5, 300, 77, 1200, 9], "max_tokens": 16, "temperature": 1.5, "top_k": 0}
"""Tokens that never stood together in training: the model does not know how to go on."""
ENDS = ("", "<|user|>", "<|observation|>", "<|system|>")
"""Tokens that `ignore_eos` forbids, as log probabilities spell them."""
LOOP = {"prompt": "The weather in Paris", "max_tokens": 80, "temperature": 0, "ignore_eos": True}
"""The model goes on and on, with the same words again and again."""


def complete(server: RunningServer, body: dict[str, Any]) -> dict[str, Any]:
    """The first answer to a bare prompt."""
    response = server.post("/v1/completions", json=body)
    assert response.status_code == 200, response.text
    choice: dict[str, Any] = response.json()["choices"][0]
    return choice


def token_of(server: RunningServer, text: str) -> int:
    """The id of the last token of `text`."""
    return int(server.post("/tokenize", json={"prompt": text}).json()["tokenIds"][-1])


@pytest.mark.parametrize("seed", [0, 1, -1, 2**64 - 1, -(2**63)])
def test_the_same_seed_writes_the_same_text(server: RunningServer, seed: int) -> None:
    once, again = (complete(server, UNSURE | {"seed": seed}) for _ in range(2))
    assert once == again


def test_the_same_seed_writes_the_same_text_under_load(slow_server: RunningServer) -> None:
    bodies = [UNSURE | {"prompt": "the sea", "seed": seed} for seed in range(6)]
    alone = [complete(slow_server, body) for body in bodies]
    busy = {"prompt": "the", "max_tokens": 30000, "temperature": 1.5, "ignore_eos": True, "stream": True}
    with httpx.stream("POST", f"{slow_server.url}/v1/completions", json=busy, timeout=60) as other:
        received = other.iter_bytes()
        next(received)
        with ThreadPoolExecutor(3) as pool:
            together = list(pool.map(lambda body: complete(slow_server, body), bodies))
        assert slow_server.queue()["running"] == 1, "the other one was there all the time"
    slow_server.wait_for_queue(running=0)
    assert together == alone
    assert len({answer["text"] for answer in alone}) == 6


def test_other_seeds_write_other_texts(server: RunningServer) -> None:
    assert len({complete(server, UNSURE | {"seed": seed})["text"] for seed in range(8)}) == 8


def test_without_a_seed_every_answer_is_another(server: RunningServer) -> None:
    assert len({complete(server, UNSURE)["text"] for _ in range(8)}) == 8


@pytest.mark.parametrize("sure", [{"min_p": 1.0}, {"top_k": 1}, {"top_p": 1e-9}])
def test_settings_that_leave_the_likeliest_token_alone(server: RunningServer, sure: dict[str, Any]) -> None:
    greedy = complete(server, UNSURE | {"temperature": 0})
    assert complete(server, UNSURE | {"temperature": 2, **sure}) == greedy


@pytest.mark.parametrize(
    "penalties",
    [
        {"presence_penalty": 2},
        {"frequency_penalty": 1.5},
        {"frequency_penalty": -0.5, "presence_penalty": 2},
    ],
    ids=str,
)
def test_penalties(server: RunningServer, penalties: dict[str, float]) -> None:
    """OpenAI's formula, recomputed from the probabilities that the model gives before them: differences of logarithms
    of probabilities are differences of logits.
    """
    presence, frequency = (penalties.get(f"{name}_penalty", 0) for name in ("presence", "frequency"))
    logprobs = complete(server, LOOP | penalties | {"logprobs": 20})["logprobs"]
    written: Counter[str] = Counter()
    changed = 0
    for token, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True):
        after = {
            one: logprob - presence * (one in written) - frequency * written[one]
            for one, logprob in top.items()
            if one not in ENDS
        }
        # A penalty moves a token down, so what is not among the likeliest stays below the least of them; only a reward
        # could move it up.
        if max(after.values()) > min(top.values()) + max(0, -frequency) * max(written.values(), default=0):
            assert after[token] == pytest.approx(max(after.values()), abs=1e-3)
            changed += token != next(iter(top))
        written[token] += 1
    assert changed, "the penalties made a difference"


def test_penalties_make_repetition_rarer(server: RunningServer) -> None:
    def most(penalty: float) -> int:
        tokens = complete(server, LOOP | {"max_tokens": 150, "logprobs": 0, "frequency_penalty": penalty})
        return Counter(tokens["logprobs"]["tokens"]).most_common(1)[0][1]

    assert most(2) < most(0) < most(-2)


def test_bias_forbids_a_token(server: RunningServer) -> None:
    token = token_of(server, "!")
    body = {"messages": user("Hello!"), "temperature": 0}
    assert "!" in server.post(json=body).json()["choices"][0]["message"]["content"]
    answer = server.post(json=body | {"logit_bias": {str(token): -100}, "logprobs": True}).json()["choices"][0]
    assert all(entry["token"] != "!" for entry in answer["logprobs"]["content"])


def test_bias_forces_a_token(server: RunningServer) -> None:
    body = {"prompt": "Hello", "max_tokens": 5, "temperature": 1, "logit_bias": {token_of(server, "!"): 100}}
    assert complete(server, body)["text"] == "!!!!!"


def test_a_forced_token_that_is_part_of_a_character(server: RunningServer) -> None:
    """The text has U+FFFD for what never becomes a character; the log probabilities have the byte."""
    *_, first, _, _ = server.post("/tokenize", json={"prompt": "☃"}).json()["tokenIds"]
    body = {"messages": user("Hello!"), "max_tokens": 2, "temperature": 0, "logit_bias": {first: 100}, "logprobs": True}
    choice = server.post(json=body).json()["choices"][0]
    assert [entry["bytes"] for entry in choice["logprobs"]["content"]] == [[0xE2], [0xE2]]
    assert {entry["token"] for entry in choice["logprobs"]["content"]} == {"\\xe2"}
    assert set(choice["message"]["content"]) == {"\ufffd"}


def test_an_answer_that_may_not_end(server: RunningServer) -> None:
    body = {"messages": user("Hello!"), "temperature": 0, "max_tokens": 100}
    ended = server.post(json=body).json()
    assert ended["choices"][0]["finish_reason"] == "stop"
    assert ended["usage"]["completion_tokens"] < 100
    endless = server.post(json=body | {"ignore_eos": True}).json()
    assert endless["choices"][0]["finish_reason"] == "length"
    assert endless["usage"]["completion_tokens"] == 100


def test_tokens_that_end_the_answer(server: RunningServer) -> None:
    """Even one that may not end of itself; such a token is no part of the answer."""
    written = complete(server, LOOP | {"logprobs": 0})["logprobs"]["tokens"]
    last = next(token for token in written if token.isalpha())
    choice = complete(server, LOOP | {"logprobs": 0, "stop_token_ids": [token_of(server, last)]})
    assert choice["text"] == "".join(written[: written.index(last)])
    assert choice["finish_reason"] == "stop"
    assert "".join(choice["logprobs"]["tokens"]) == choice["text"]


def bad_values(field: str, *values: object) -> list[tuple[str, object]]:
    return [(field, value) for value in values]


MANY = 500_000
BAD: list[tuple[str, object]] = [
    *bad_values("seed", 1.5, "x", [], 2**64, -(2**63) - 1, 10**400),
    *bad_values("n", 0, -1, 1.5, "two", 5, 129, 10**400),
    *bad_values("top_logprobs", -1, 21, 0.5, "many", []),
    *bad_values("min_p", -0.1, 1.1, "nan", "x"),
    *bad_values("presence_penalty", -2.1, 2.1, "nan", "inf", {}),
    *bad_values("frequency_penalty", -2.1, 2.1, "nan"),
    *bad_values("temperature", "nan", "inf", 10**400),
    *bad_values("logit_bias", [], "x", {"x": 1}, {"-1": 1}, {"1": 101}, {"1": "nan"}, {"1760000": 1}),
    ("logit_bias", {str(token): 1 for token in range(MANY)}),
    ("logit_bias", {f"x{token}": 1 for token in range(MANY)}),
    *bad_values("stop_token_ids", 5, ["x"], [-1], [1760000], ["x"] * MANY, [1] * MANY),
    ("stop", [1] * MANY),
    ("chat_template_kwargs", {str(name): 1 for name in range(MANY)}),
    ("ignore_eos", "perhaps"),
    ("logprobs", 5),
]


@pytest.mark.parametrize(("name", "value"), BAD, ids=lambda value: json.dumps(value)[:30])
def test_bad_values(server: RunningServer, name: str, value: object) -> None:
    """A figure that JSON can spell but no float can hold, half a million entries: one error that says which field."""
    response = server.post(json={"messages": user("Hello!"), "max_tokens": 1, "logprobs": True, name: value})
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert error["param"].partition(".")[0].partition("[")[0] == name
    assert len(error["message"]) < 1000


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("name", ["min_p", "presence_penalty", "seed"])
def test_numbers_that_are_no_json(server: RunningServer, name: str, literal: str) -> None:
    content = f'{{"messages": [{{"role": "user", "content": "x"}}], "{name}": {literal}}}'
    headers = {"Content-Type": "application/json"}
    response = httpx.post(f"{server.url}/v1/chat/completions", content=content, headers=headers, timeout=60)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]["message"]


NAMES = (
    *("seed", "n", "logprobs", "top_logprobs", "logit_bias", "presence_penalty", "frequency_penalty", "min_p"),
    *("ignore_eos", "stop_token_ids"),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(NAMES), value=VALUES, path=st.sampled_from(["/v1/chat/completions", "/v1/completions"]))
def test_any_value_is_honoured_or_named(server: RunningServer, name: str, value: object, path: str) -> None:
    body = {"messages": user("Hello!"), "prompt": "Hello", "max_tokens": 1, name: value}
    response = server.post(path, json=body)
    assert response.status_code in (200, 400), response.text
    if response.status_code == 400:
        assert response.json()["error"]["param"].partition(".")[0].partition("[")[0] == name
