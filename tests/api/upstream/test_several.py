"""In front of several servers: which of them gets a request, and what happens when one fails."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from chatglm_server.engine.upstream import pool_member, probe
from chatglm_server.settings import Settings
from tests.raw_backend import MODELS, UNTIL_THE_CLIENT_LEAVES, RawBackend, delta, stream, text, whole
from tests.serving import RunningServer, user
from tests.serving_here import serving
from tests.upstream import chunks, joined

ANSWER = stream(*text("Hi"), delta(reason="stop"))
OTHER_MODELS = {"data": [{"id": name} for name in ("glm-4.7", "a", "b", "c")]}
_numbers = itertools.count()

Pair = tuple[RunningServer, RawBackend, RawBackend]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Two backends, and a server in front that soon looks whether one of them is back."""
    with pytest.MonkeyPatch.context() as patch, RawBackend(script=ANSWER) as one, RawBackend(script=ANSWER) as other:
        patch.setattr(pool_member, "BACK_OFFS_S", (0.05,))
        patch.setattr(probe, "CACHE_S", 0.0)
        settings = Settings(_env_file=None, model=f"{one.address},{other.address}", upstream_timeout_s=1)
        with serving(settings) as (url, _):
            front = RunningServer()  # for its ways to ask
            front.url = url
            yield front, one, other


@pytest.fixture(autouse=True)
def in_service(pair: Pair) -> None:
    """Both servers are back from what the test before did to them, and play an answer."""
    front, *backends = pair
    for backend in backends:
        backend.play(ANSWER)
    wait_for(lambda: all(one["in_service"] for one in upstreams(front)))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def upstreams(front: RunningServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = front.health()["upstreams"]  # type: ignore[assignment]
    return found


def question(**fields: Any) -> dict[str, Any]:
    """A conversation that nobody has asked yet."""
    return {"model": "some-model", "messages": user(f"Question {next(_numbers)}"), **fields}


def asked_of(front: RunningServer, backend: RawBackend) -> httpx.Response:
    """The response to the first request that `backend` gets before others do."""
    for _ in range(4):
        response = front.post(json=question())
        if backend.requests:
            return response
    raise AssertionError("the other server gets all requests")


def test_health_and_metrics_name_each(pair: Pair) -> None:
    front, one, other = pair
    before = [state["requests"] for state in upstreams(front)]
    assert front.post(json=question()).status_code == 200
    health = front.health()
    assert (health["status"], health["upstream"]) == ("ok", f"{one.address}, {other.address}")
    states = upstreams(front)
    assert [state["address"] for state in states] == [one.address, other.address]
    assert sum(state["requests"] for state in states) == sum(before) + 1
    assert all(state["running"] == 0 and "problem" not in state for state in states)
    figures = httpx.get(f"{front.url}/metrics").text
    for state in states:
        label = f'{{address="{state["address"]}"}}'
        assert f"chatglm_upstream_in_service{label} 1.0" in figures
        assert f"chatglm_upstream_requests_total{label} {state['requests']:.1f}" in figures
        assert f"chatglm_upstream_failures_total{label} {state['failures']:.1f}" in figures


def test_idle_servers_take_turns_and_a_conversation_goes_back(pair: Pair) -> None:
    front, one, other = pair
    bodies = [question() for _ in range(4)]
    for body in bodies:
        front.post(json=body)
    assert (len(one.requests), len(other.requests)) == (2, 2)
    first = [received.body["messages"][0]["content"] for received in one.requests]
    one.play(ANSWER)
    for body in reversed(bodies):
        further = [{"role": "assistant", "content": "Hi"}, *user("And then?")]
        front.post(json=body | {"messages": [*body["messages"], *further]})
    assert sorted(received.body["messages"][0]["content"] for received in one.requests) == sorted(first)


def test_a_bare_prompt_goes_where_its_beginning_was_read(pair: Pair) -> None:
    front, one, other = pair
    for backend in (one, other):
        backend.play(whole({"choices": [{"text": "Hi", "finish_reason": "stop"}]}))
    prompts = [f"Story {next(_numbers)}. " + "Once upon a time there was a king. " * 20 for _ in range(4)]
    for prompt in prompts:
        assert front.post("/v1/completions", json={"model": "some-model", "prompt": prompt}).status_code == 200
    first = [received.body["prompt"] for received in one.requests]
    assert len(first) == 2
    for prompt in reversed(prompts):
        longer = {"model": "some-model", "prompt": prompt + "Hi, said the queen."}
        assert front.post("/v1/completions", json=longer).status_code == 200
    assert sorted(received.body["prompt"] for received in one.requests[2:]) == sorted(
        prompt + "Hi, said the queen." for prompt in first
    )


def test_a_busy_server_is_left_alone(pair: Pair) -> None:
    """A conversation waits for a few requests at its server, but not for many; others go where nobody waits."""
    front, one, other = pair
    body = question()
    front.post(json=body)
    home = one if one.requests else other
    elsewhere = other if home is one else one
    home.play(stream(*text("Hi"), UNTIL_THE_CLIENT_LEAVES))
    waiting: list[Any] = []
    with httpx.Client(timeout=60) as client:
        for number in range(1, 4):
            request = client.build_request("POST", f"{front.url}/v1/chat/completions", json=body | {"stream": True})
            waiting.append(client.send(request, stream=True))
            front.wait_for_queue(running=number)
        assert (len(home.requests), len(elsewhere.requests)) == (3, 0)
        assert front.post(json=body).status_code == 200
        assert front.post(json=question()).status_code == 200
        assert (len(home.requests), len(elsewhere.requests)) == (3, 2)
        for response in waiting:
            response.close()
    front.wait_for_queue(running=0)


FAILURES: dict[str, list[object]] = {
    "closed": [],
    "502": whole(b"<html>nginx</html>", "502 Bad Gateway"),
    "503": whole({"error": {"message": "loading"}}, "503 Service Unavailable", "Retry-After: 3"),
    "silent": [UNTIL_THE_CLIENT_LEAVES],
    "accepted, then closed": stream(delta({"role": "assistant", "content": ""}), done=False, end=False),
    "accepted, then ended": stream(delta({"role": "assistant", "content": ""}), done=False),
    "accepted, then stopped": stream(
        delta({"role": "assistant"}),
        {"error": {"message": "the server is shutting down", "code": "server_shutting_down"}},
        done=False,
    ),
    "accepted, then lost": stream(
        delta({"role": "assistant"}),
        {"error": {"message": "the replica that wrote this answer has ended", "code": "replica_lost"}},
        done=False,
    ),
    "accepted, then silent": stream(delta({"role": "assistant"}), UNTIL_THE_CLIENT_LEAVES),
}


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("kind", FAILURES)
def test_a_request_goes_on_to_another(pair: Pair, kind: str, streamed: bool) -> None:
    """The server that failed is left out until it answers a look."""
    front, one, _ = pair
    failures = upstreams(front)[0]["failures"]
    one.play(FAILURES[kind])
    one.models = whole(b"", "500 Internal Server Error")  # it does not come back meanwhile
    try:
        while not one.requests:
            body = question(stream=streamed)
            if streamed:
                answer = joined(chunks(front, body))
                assert (answer["content"], answer["finish_reason"]) == ("Hi", "stop")
            else:
                assert front.post(json=body).json()["choices"][0]["message"]["content"] == "Hi"
        for _ in range(3):
            assert front.post(json=question()).status_code == 200
        assert len(one.requests) == 1
        state = upstreams(front)[0]
        assert (state["in_service"], state["failures"]) == (False, failures + 1)
        assert one.address in state["problem"]
        assert front.health()["status"] == "ok"
    finally:
        one.models = whole(MODELS)
    one.play(ANSWER)
    wait_for(lambda: bool(upstreams(front)[0]["in_service"]))
    assert asked_of(front, one).status_code == 200


@pytest.mark.parametrize("kind", ["closed", "silent"])
def test_an_answer_that_began_ends_with_an_error(pair: Pair, kind: str) -> None:
    front, one, other = pair
    for backend in (one, other):
        backend.play(
            stream(*text("Hi"), *([UNTIL_THE_CLIENT_LEAVES] if kind == "silent" else []), done=False, end=False)
        )
    parts = chunks(front, question())
    assert joined(parts[:-1])["content"] == "Hi"
    assert parts[-1]["error"]["code"] == ("upstream_timeout" if kind == "silent" else "upstream_failure")
    assert len(one.requests) + len(other.requests) == 1


def busy(status: str, *headers: str) -> list[object]:
    return whole({"error": {"message": f"busy {headers}"}}, status, *headers)


def test_a_full_server_stays_in_service(pair: Pair) -> None:
    front, one, _ = pair
    one.play(busy("429 Too Many Requests", "Retry-After: 17"))
    assert asked_of(front, one).status_code == 200
    assert upstreams(front)[0]["in_service"] is True


@pytest.mark.parametrize(
    ("first", "second", "status", "seconds"),
    [
        (("429 Too Many Requests", "Retry-After: 17"), ("429 Too Many Requests", "Retry-After: 5"), 429, "5"),
        (("429 Too Many Requests", "Retry-After: 17"), ("429 Too Many Requests",), 429, "17"),
        (("503 Service Unavailable", "Retry-After: 9"), ("503 Service Unavailable",), 503, "9"),
        (("503 Service Unavailable", "Retry-After: 9"), ("429 Too Many Requests", "Retry-After: 7"), 429, "7"),
    ],
)
def test_if_all_are_busy_the_earliest_is_passed_on(
    pair: Pair, first: tuple[str, ...], second: tuple[str, ...], status: int, seconds: str
) -> None:
    front, one, other = pair
    one.play(busy(*first))
    other.play(busy(*second))
    response = front.post(json=question())
    assert (response.status_code, response.headers["retry-after"]) == (status, seconds)
    assert "busy" in response.json()["error"]["message"]
    assert (len(one.requests), len(other.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (whole({"error": {"message": "no such thing"}}, "400 Bad Request"), 400),
        (stream(delta({"role": "assistant"}), {"error": {"message": "no such thing", "code": 400}}, done=False), 502),
    ],
    ids=["at once", "in the stream"],
)
def test_a_wrong_request_is_refused_once(pair: Pair, script: list[object], status: int) -> None:
    front, one, other = pair
    for backend in (one, other):
        backend.play(script)
    assert front.post(json=question()).status_code == status
    assert len(one.requests) + len(other.requests) == 1
    assert all(state["in_service"] for state in upstreams(front))


def test_the_first_that_has_a_list_of_models_gives_it(pair: Pair) -> None:
    front, one, other = pair
    one.models, other.models = whole(b"<html>", "502 Bad Gateway"), whole(OTHER_MODELS)
    try:
        listed = httpx.get(f"{front.url}/v1/models", timeout=60).json()["data"]
    finally:
        one.models = other.models = whole(MODELS)
    assert [model["id"] for model in listed] == ["glm-4.7", "a", "b", "c"]


PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": user("Hello!")},
    "/v1/completions": {"prompt": "Hello"},
    "/v1/responses": {"input": "Hello!"},
    "/v1/messages": {"messages": user("Hello!"), "max_tokens": 9},
    "/chat": {"messages": user("Hello!")},
    "/api/chat": {"messages": user("Hello!")},
    "/api/generate": {"prompt": "Hello!"},
}


def test_differing_models_are_named_at_the_start() -> None:
    with RawBackend() as one, RawBackend(models=whole(OTHER_MODELS)) as other:
        with RunningServer("--model", one.address, "--model", other.address) as front:
            lists = f"{one.address} has glm-4-9b-chat; {other.address} has glm-4.7, a, b and 1 more"
            front.wait_for_line(f"the backends have different models: {lists}; a request may go to any", timeout=60)
            assert f"the backend at {other.address} is there; models: 4" in front.output
        with RunningServer("--model", f"{one.address},{one.address}/") as front:
            assert "different models" not in front.output
            assert "upstreams" not in front.health()  # it is one and the same


def test_if_all_are_down_each_api_says_what_to_do() -> None:
    with RawBackend() as one, RawBackend() as other:
        addresses = [one.address, other.address]
    with RunningServer("--model", ",".join(addresses)) as front:
        for path, body in PATHS.items():
            for streamed in (False, True):
                response = front.post(path, json=body | {"model": "glm-4", "stream": streamed})
                assert response.status_code == 502, (path, response.text)
                message = response.json()["error"]
                message = message if isinstance(message, str) else message["message"]
                assert message.startswith("none of the 2 backends answers: ")
                assert message.endswith("; start one, and try again")
                assert all(f"the backend at {address} cannot be reached" in message for address in addresses)
        assert httpx.get(f"{front.url}/v1/models", timeout=60).status_code == 502
        health = front.health()
        assert health["status"] == "degraded"
        assert all(address in str(health["problem"]) for address in addresses)
        assert not any(state["in_service"] for state in upstreams(front))
        for address in addresses:
            assert f"{address} cannot be reached: " in front.output
        assert front.output.count("it is left out until it answers again") == 2
        with RawBackend(other.port, script=ANSWER):
            assert front.post(json=question()).status_code == 200  # the last resort, and at once in service
            assert [state["in_service"] for state in upstreams(front)] == [False, True]
        assert "Traceback" not in front.output
