"""In front of another server: what any client says arrives, whichever endpoint it uses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import ADD, WEATHER
from tests.raw_backend import RawBackend, delta, stream, text
from tests.serving import RunningServer, user

FUNCTION = {"type": "function", "function": {"name": "add"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
HISTORY = [
    {"role": "system", "content": "Be short."},
    *user("1+2?"),
    {"role": "assistant", "content": "I add.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "3"},
    *user("And now?"),
]
SAID: dict[str, Any] = {
    "temperature": 0.3,
    "top_p": 0.5,
    "top_k": 7,
    "min_p": 0.1,
    "repetition_penalty": 1.2,
    "presence_penalty": 0.5,
    "frequency_penalty": -0.5,
    "logit_bias": {"7": 5},
    "seed": 11,
    "ignore_eos": True,
    "max_tokens": 9,
    "stop": ["x"],
    "stop_token_ids": [5],
    "tools": [WEATHER, ADD],
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "reasoning_effort": "low",
    "chat_template_kwargs": {"enable_thinking": False},
    "response_format": {"type": "json_object"},
}
"""Parameters that both endpoints have, one of each noun."""
MODEL = "glm-4-9b-chat"
"""The backend's first: GLM-API's clients cannot choose another."""
CHAT, COMPLETIONS = "/chat", "/v1/chat/completions"


def sent(front: RunningServer, backend: RawBackend, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """What the backend gets of a request."""
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    response = front.post(path, json=body)
    assert response.status_code == 200, response.text
    (request,) = backend.requests
    result: dict[str, Any] = request.body
    return result


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize("name", SAID)
def test_every_parameter_arrives(front: RunningServer, backend: RawBackend, path: str, name: str) -> None:
    tools = {"tools": [ADD]} if name in ("tool_choice", "parallel_tool_calls") else {}
    body = {"model": MODEL, "messages": user("1+2?")} | tools | {name: SAID[name]}
    assert sent(front, backend, path, body) == body


@pytest.mark.parametrize("path", [COMPLETIONS, "/v1/completions"])
def test_a_form_of_the_answer_that_only_the_backend_knows_arrives(
    front: RunningServer, backend: RawBackend, path: str
) -> None:
    wanted = {"type": "structural_tag", "structures": [], "triggers": ["<f"]}
    asked = {"messages": user("Hello!")} if path == COMPLETIONS else {"prompt": "Hello"}
    body = {"model": MODEL, "response_format": wanted} | asked
    assert sent(front, backend, path, body)["response_format"] == wanted


def test_the_same_conversation_is_the_same_body(front: RunningServer, backend: RawBackend) -> None:
    body = {"model": MODEL, "messages": HISTORY, **SAID}
    first = sent(front, backend, COMPLETIONS, body)
    assert first == body
    assert sent(front, backend, CHAT, body) == first


def test_a_stream_is_asked_for_as_one(front: RunningServer, backend: RawBackend) -> None:
    for path in (CHAT, COMPLETIONS):
        backend.play(stream(*text("Hi"), delta(reason="stop")))
        front.stream({"messages": user("Hello!")}, path)
        (request,) = backend.requests
        assert (request.body["stream"], request.body["stream_options"]) == (True, {"include_usage": True})
        assert "stream" not in sent(front, backend, path, {"messages": user("Hello!")})


def test_a_call_that_glm_api_demands_comes_back(front: RunningServer, backend: RawBackend) -> None:
    """It used to answer 200 with plain text, as the backend never heard that a call was required."""
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1, "b": 2}'}}
    backend.play(stream(delta({"tool_calls": [call]}), delta(reason="tool_calls")))
    body = {"messages": user("1+2?"), "tools": [ADD], "tool_choice": "required"}
    response = front.post(CHAT, json=body)
    (choice,) = response.json()["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "add"
    assert backend.requests[0].body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("arguments", "parameters"), [('{"a": 1, "b": 2}', {"a": 1, "b": 2}), ('{"a": ', '{"a": ')], ids=["whole", "broken"]
)
def test_a_call_that_glm_api_returns_as_text(
    front: RunningServer, backend: RawBackend, arguments: str, parameters: object
) -> None:
    """Also where the backend writes several, or one that is not JSON."""
    calls = [
        {"index": index, "id": f"c{index}", "type": "function", "function": {"name": "add", "arguments": arguments}}
        for index in range(2)
    ]
    backend.play(stream(delta({"tool_calls": calls}), delta(reason="tool_calls")))
    body = {"messages": user("1+2?"), "tools": [ADD], "return_function_call": True}
    response = front.post(CHAT, json=body)
    assert response.status_code == 200, response.text
    (choice,) = response.json()["choices"]
    assert json.loads(choice["message"]["content"]) == {"name": "add", "parameters": parameters}
    assert choice["history"][-1] == {"role": "assistant", "metadata": "add", "content": arguments}


@pytest.mark.parametrize("name", ["n", "logprobs"])
def test_glm_api_refuses_what_its_answers_cannot_show(front: RunningServer, backend: RawBackend, name: str) -> None:
    backend.play(stream())
    response = front.post(CHAT, json={"messages": user("Hello!"), name: 2 if name == "n" else True})
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)
    assert backend.requests == []


def test_glm_api_names_the_backends_model(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    assert front.post(CHAT, json={"messages": user("Hello!")}).json()["model"] == MODEL
