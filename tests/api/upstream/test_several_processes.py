"""In front of two servers with the demo model: requests go where their prefix is, and a kill loses nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.api.upstream.test_several import upstreams, wait_for
from tests.serving import RunningServer, user

OPTIONS = ("--threads", "1", "--kv-disk-mb", "0", "--models-max", "0")
CONVERSATIONS, TURNS = 20, 4
AT_ONCE = 3
"""Few enough that no server is so busy that a conversation leaves it."""
BOUNDARY = 4
"""Tokens at a bare prompt's end that may become others as the text goes on."""


@pytest.fixture(scope="module")
def front_of_two() -> Iterator[RunningServer]:
    """A server in front of two."""
    with (
        RunningServer(*OPTIONS) as one,
        RunningServer(*OPTIONS) as other,
        RunningServer("--model", f"{one.url},{other.url}") as front,
    ):
        yield front


def converse(front: RunningServer, number: int) -> list[bool]:
    """Whether each turn after the first found all of the prompt before it in its server's cache."""
    messages: list[Any] = user(f"Conversation {number}: " + f"tell me about the number {number}. " * 5)
    before, hits = 0, []
    for turn in range(TURNS):
        body = {"model": "demo", "messages": messages, "temperature": 0, "max_tokens": 24}
        response = front.post(json=body)
        assert response.status_code == 200, response.text
        usage, message = response.json()["usage"], response.json()["choices"][0]["message"]
        if turn:
            hits.append(usage["prompt_tokens_details"]["cached_tokens"] >= before)
        before = usage["prompt_tokens"]
        messages = [*messages, {"role": "assistant", "content": message["content"]}, *user("And what else?")]
    return hits


def go_on(front: RunningServer, number: int) -> list[bool]:
    """The same with bare prompts, each of which begins as the one before it."""
    prompt, before, hits = f"Story {number}: " + f"once there were {number} kings. " * 10, 0, []
    for turn in range(TURNS):
        body = {"model": "demo", "prompt": prompt, "temperature": 0, "max_tokens": 24}
        response = front.post("/v1/completions", json=body)
        assert response.status_code == 200, response.text
        usage = response.json()["usage"]
        if turn:
            hits.append(usage["prompt_tokens_details"]["cached_tokens"] >= before - BOUNDARY)
        before = usage["prompt_tokens"]
        prompt += response.json()["choices"][0]["text"] + " And then? "
    return hits


@pytest.mark.parametrize("talk", [converse, go_on])
def test_requests_go_where_their_prefix_is_and_are_shared_out(
    talk: Callable[[RunningServer, int], list[bool]], front_of_two: RunningServer
) -> None:
    before = [state["requests"] for state in upstreams(front_of_two)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        found = pool.map(lambda number: talk(front_of_two, number), range(CONVERSATIONS))
        hits = [hit for talked in found for hit in talked]
    requests = [state["requests"] - sent for state, sent in zip(upstreams(front_of_two), before, strict=True)]
    assert len(hits) == CONVERSATIONS * (TURNS - 1)
    assert sum(hits) >= 0.9 * len(hits)
    assert sum(requests) == CONVERSATIONS * TURNS
    assert min(requests) >= sum(requests) / 4


LONG: dict[str, Any] = {"model": "demo", "max_tokens": 300, "ignore_eos": True, "temperature": 1}


def ask(front: RunningServer, number: int) -> str:
    """How a request ends, every second one as a stream: "answered", or the code of its error event."""
    body = LONG | {"messages": user(f"Question {number}"), "stream": number % 2 == 0}
    response = httpx.post(f"{front.url}/v1/chat/completions", json=body, timeout=60)
    assert response.status_code == 200, response.text
    if not body["stream"]:
        assert response.json()["choices"][0]["finish_reason"] == "length"
        return "answered"
    events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    if "error" in events[-1]:
        return str(events[-1]["error"]["code"])
    assert response.text.endswith("data: [DONE]\n\n")
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    return "answered"


def test_a_server_that_is_killed_in_mid_load_and_comes_back() -> None:
    with (
        RunningServer(*OPTIONS) as one,
        RunningServer(*OPTIONS) as other,
        RunningServer("--model", one.url, "--model", other.url) as front,
    ):
        over = threading.Event()

        def keep_asking(first: int) -> list[str]:
            ends: list[str] = []
            while not over.is_set():
                ends.append(ask(front, first + len(ends)))
            return ends

        with ThreadPoolExecutor(6) as pool:
            asking = [pool.submit(keep_asking, 1000 * number) for number in range(6)]
            wait_for(lambda: all(state["running"] >= 2 for state in upstreams(front)))
            one.process.kill()
            wait_for(lambda: not upstreams(front)[0]["in_service"])
            after = upstreams(front)[1]["requests"]
            wait_for(lambda: upstreams(front)[1]["requests"] >= after + 12)
            over.set()
            ends = [end for thread in asking for end in thread.result(60)]
        assert set(ends) <= {"answered", "upstream_failure"}
        assert ends.count("upstream_failure") <= 6  # those that the server had begun to answer
        assert [ask(front, number) for number in range(5000, 5004)] == ["answered"] * 4
        state = upstreams(front)[0]
        assert state["running"] == 0
        assert f"the backend at {one.url}/v1 cannot be reached" in state["problem"]

        with RunningServer(*OPTIONS, port=urlsplit(one.url).port or 0):
            wait_for(lambda: bool(upstreams(front)[0]["in_service"]))
            assert f"the backend at {one.url}/v1 answers again" in front.output
            assert [ask(front, number) for number in range(6000, 6004)] == ["answered"] * 4
            assert upstreams(front)[0]["requests"] >= state["requests"] + 2
        assert "Traceback" not in front.output
