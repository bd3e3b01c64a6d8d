"""In front of another server: what goes on to it, and what comes back."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conftest import ADD, WEATHER
from tests.raw_backend import MODELS, UNTIL_THE_CLIENT_LEAVES, RawBackend, delta, stream, text, whole
from tests.serving import RunningServer, user
from tests.upstream import ASK, HELLO, ONE_CALL, SECRET, USAGE, answer, chunks, folded, joined


def test_every_field_arrives(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    body = {
        "model": "a/b:c",
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "你好"}, image], "name": "eve"},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "custom", "custom": {}}]},
            {"role": "tool", "tool_call_id": "1", "content": "x"},
            {"role": "function", "name": "f", "content": "y"},
        ],
        "tools": [WEATHER, {"type": "web_search"}],
        "tool_choice": {"type": "allowed_tools"},
        "parallel_tool_calls": False,
        "temperature": 3.5,
        "max_tokens": -1,
        "stop": ["a"] * 20,
        "seed": 7,
        "n": 1,
        "response_format": {"type": "json_object"},
        "chat_template_kwargs": {"enable_thinking": False},
        "a_field_of_the_future": [1, {"x": None}],
    }
    assert answer(front, body)["message"]["content"] == "Hi"
    front.stream(body | {"stream_options": {"include_obfuscation": False}})
    first, second = backend.requests
    assert first.line == "POST /v1/chat/completions HTTP/1.1"
    assert first.body == body
    assert second.body["stream_options"] == {"include_obfuscation": False, "include_usage": True}


def test_keys(front: RunningServer, backend: RawBackend) -> None:
    backend.play(whole({"error": {"message": f"wrong key {SECRET}", "type": "auth"}}, "401 Unauthorized"))
    headers = {"Authorization": "Bearer of-the-client", "X-Api-Key": "of-the-client", "Cookie": "of-the-client"}
    refused = httpx.post(f"{front.url}/v1/chat/completions", json=HELLO, headers=headers, timeout=60)
    (received,) = backend.requests
    assert received.headers["authorization"] == f"Bearer {SECRET}"
    assert "of-the-client" not in str(received.headers)
    assert refused.status_code == 401
    assert refused.json()["error"]["message"] == "wrong key ***"
    assert SECRET not in front.output
    assert SECRET not in str(front.health())


def test_request_without_a_model_means_the_first(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    answer(front, {"messages": user("Hello!")})
    assert backend.requests[0].body["model"] == "glm-4-9b-chat"


@pytest.mark.parametrize(
    ("name", "value"),
    [("audio", {"voice": "x"}), ("modalities", ["audio"])],
)
def test_what_could_not_come_back_is_refused(front: RunningServer, backend: RawBackend, name: str, value: Any) -> None:
    backend.play(stream())
    response = front.post(json=HELLO | {name: value})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert response.json()["error"]["param"] == name
    assert backend.requests == []


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": []}}}, "tool_choice"),
        ({"messages": [{"role": "wizard", "content": "x"}]}, "messages[0]"),
        ({"messages": [*user("Hello!"), {"content": "x"}]}, "messages[1]"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0]"),
    ],
)
def test_what_no_server_can_honour_goes_to_none(
    front: RunningServer, backend: RawBackend, fields: dict[str, Any], param: str
) -> None:
    """Some answer 500 to it, and some a text that does not say what is wrong."""
    backend.play(stream())
    for streamed in (False, True):
        response = front.post(json=HELLO | fields | {"stream": streamed})
        assert (response.status_code, response.json()["error"]["param"]) == (400, param)
        assert param in response.json()["error"]["message"]
    assert backend.requests == []


def test_timings_are_taken_here(front: RunningServer, backend: RawBackend) -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 5}
    backend.play(stream(*text("It is sunny."), delta(reason="stop", usage=usage)))
    timings = front.post(json=HELLO | {"timings_per_token": True}).json()["timings"]
    assert (timings["prompt_n"], timings["predicted_n"], timings["draft_n"]) == (11, 5, 0)
    assert "timings_per_token" not in backend.requests[0].body


def test_a_prediction_is_passed_on(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("It is sunny."), delta(reason="stop")))
    parts = [{"type": "text", "text": "It is "}, {"type": "text", "text": "rainy."}]
    image = {"type": "content", "content": [{"type": "image"}]}
    for sent in ({"type": "content", "content": parts}, image):
        answer(front, HELLO | {"prediction": sent})
    assert backend.requests[0].body["prediction"] == {"type": "content", "content": "It is rainy."}
    assert backend.requests[1].body["prediction"] == image, "another server may know better"


CALLS = [
    delta({"role": "assistant", "content": "Two at once."}),
    delta({"tool_calls": [{"index": 0, "id": "id-a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": '{"x": '}}]}),
    delta({"tool_calls": [{"index": 1, "id": "id-b", "type": "function", "function": {"name": "g", "arguments": ""}}]}),
    delta({"tool_calls": [{"index": 0, "function": {"arguments": '"é"}'}}]}),
    delta(reason="tool_calls"),
]
SLOPPY = [
    delta({"tool_calls": [{"id": "id-a", "type": None, "function": {"name": "f", "arguments": '{"x": '}}]}),
    delta({"tool_calls": [{"index": 0, "id": "other", "function": {"name": "f", "arguments": '"é"}'}}]}),
    delta({"tool_calls": [{"index": 1, "id": "id-b", "function": {"name": "g", "arguments": {}}}]}),
    delta(reason="stop"),
]
BOTH = [
    {"id": "id-a", "name": "f", "arguments": '{"x": "é"}'},
    {"id": "id-b", "name": "g", "arguments": "{}"},
]


@pytest.mark.parametrize(("events", "content"), [(CALLS, "Two at once."), (SLOPPY, "")], ids=["proper", "sloppy"])
def test_calls_pass_with_their_ids(front: RunningServer, backend: RawBackend, events: Any, content: str) -> None:
    backend.play(stream(*events))
    result = joined(chunks(front, HELLO))
    assert result["tool_calls"] == BOTH
    assert (result["content"], result["finish_reason"]) == (content, "tool_calls")
    assert folded(answer(front, HELLO)) == result


def test_log_line_names_the_calls(front: RunningServer, backend: RawBackend) -> None:
    forged = delta({"tool_calls": [{"index": 0, "id": "i", "function": {"name": "a\nb", "arguments": "{}"}}]})
    backend.play(stream(forged, delta(reason="stop")))
    answer(front, HELLO)
    assert "model=some-model" in front.wait_for_line("calls=a%0Ab", timeout=10)


@pytest.mark.parametrize("usage", [None, {"prompt_tokens": 11, "completion_tokens": 5}], ids=["none", "counted"])
def test_log_line_has_a_speed_only_if_the_backend_counts(
    front: RunningServer, backend: RawBackend, usage: dict[str, int] | None
) -> None:
    model = f"speed-{usage is None}"
    backend.play(stream(*text("It is sunny."), delta(reason="stop", usage=usage)))
    front.post(json=HELLO | {"model": model})
    line = front.wait_for_line(f"model={model}", timeout=10)
    assert "first_token=" in line
    assert ("speed=" in line) == (usage is not None)
    assert "speed=-" not in line


def test_log_line_has_no_speed_for_an_answer_that_came_at_once(front: RunningServer, backend: RawBackend) -> None:
    usage = {"prompt_tokens": 11, "completion_tokens": 5}
    choice = {"index": 0, "message": {"role": "assistant", "content": "It is sunny."}, "finish_reason": "stop"}
    backend.play(whole({"choices": [choice], "usage": usage}))
    front.post(json=HELLO | {"model": "at-once"})
    line = front.wait_for_line("model=at-once", timeout=10)
    assert "completion=5" in line
    assert "speed=" not in line


def test_reasoning_passes(front: RunningServer, backend: RawBackend) -> None:
    for name in ("reasoning_content", "reasoning"):
        backend.play(stream(delta({name: "I "}), delta({name: "think"}), *text("so."), delta(reason="stop")))
        result = joined(chunks(front, HELLO))
        assert (result["reasoning_content"], result["content"]) == ("I think", "so.")
        assert folded(answer(front, HELLO)) == result


@pytest.mark.parametrize("size", [1, 3, 100])
@pytest.mark.parametrize("model", ["glm-4-9b-chat", "gpt-3.5-turbo"])
def test_glm_text_becomes_calls(front: RunningServer, backend: RawBackend, model: str, size: int) -> None:
    """The format goes by the name the client gives, or else by the one the backend gives."""
    raw = text("<think>Hm.</think>" + ONE_CALL + "<|observation|>", size)
    backend.play(stream(*({**chunk, "model": "glm-4-9b-chat"} for chunk in raw), delta(reason="stop")))
    result = joined(chunks(front, ASK | {"model": model}))
    assert (result["reasoning_content"], result["content"], result["finish_reason"]) == ("Hm.", "I look.", "tool_calls")
    ((name, arguments),) = [(call["name"], call["arguments"]) for call in result["tool_calls"]]
    assert (name, json.loads(arguments)) == ("get_weather", {"city": "巴黎"})
    again = folded(answer(front, ASK | {"model": model}))
    for call in (*again["tool_calls"], *result["tool_calls"]):
        assert call.pop("id").startswith("call_")
    assert again == result


@pytest.mark.parametrize("change", [{"model": "qwen3"}, {"tools": []}, {"tool_choice": "none"}], ids=str)
def test_text_that_is_no_call(front: RunningServer, backend: RawBackend, change: dict[str, Any]) -> None:
    raw = ONE_CALL + "\n<|user|> is a token.\n"
    backend.play(stream(*text(raw), delta(reason="stop")))
    result = joined(chunks(front, ASK | change))
    assert (result["content"], result["tool_calls"], result["finish_reason"]) == (raw, [], "stop")


def test_text_and_calls_in_one_answer(front: RunningServer, backend: RawBackend) -> None:
    """What of the text was held back goes out before the call that follows it; calls are numbered as they begin."""
    function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
    proper = delta({"tool_calls": [{"index": 0, "id": "id-a", "type": "function", "function": function}]})
    backend.play(stream(*text(ONE_CALL + "\nget_weath"), proper, *text("After."), delta(reason="stop")))
    parts = chunks(front, ASK)
    result = joined(parts)
    assert [call["name"] for call in result["tool_calls"]] == ["get_weather", "add"]
    assert result["tool_calls"][1]["id"] == "id-a"
    assert result["content"].split() == ["I", "look.", "get_weathAfter."]
    kinds = [next(iter(part["choices"][0]["delta"]), "") for part in parts]
    place = next(n for n, part in enumerate(parts) if "id-a" in json.dumps(part))
    assert "get_weath" in "".join(part["choices"][0]["delta"].get("content") or "" for part in parts[:place])
    assert kinds[-2] == "content"
    assert len(folded(answer(front, ASK))["tool_calls"]) == 2


def test_one_call_where_parallel_calls_are_off(front: RunningServer, backend: RawBackend) -> None:
    raw = 'get_weather\n{"city": "A"}<|assistant|>get_weather\n{"city": "B"}'
    backend.play(stream(*text(raw), delta(reason="stop"), {"choices": [], "usage": USAGE}))
    response = front.post(json=ASK | {"parallel_tool_calls": False}).json()
    assert len(response["choices"][0]["message"]["tool_calls"]) == 1
    assert response["usage"]["completion_tokens"] == 5


def test_one_call_of_a_backend_that_ignores_that_parallel_calls_are_off(
    front: RunningServer, backend: RawBackend
) -> None:
    """Two calls in one ``function_call`` would be one with the arguments of both."""
    weather = {"id": "id-w", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": '}}
    add = {"id": "id-a", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    rest = {"function": {"arguments": '"A"}'}}
    calls = [{"index": 0} | weather, {"index": 1} | add, {"index": 0} | rest]
    backend.play(stream(*(delta({"tool_calls": [call]}) for call in calls), delta(reason="tool_calls")))
    (call,) = joined(chunks(front, ASK | {"parallel_tool_calls": False}))["tool_calls"]
    assert call == {"id": "id-w", "name": "get_weather", "arguments": '{"city": "A"}'}
    assert folded(answer(front, ASK | {"parallel_tool_calls": False}))["tool_calls"] == [call]
    functions = HELLO | {"functions": [WEATHER["function"], ADD["function"]]}
    parts = [part["choices"][0]["delta"].get("function_call", {}) for part in chunks(front, functions)]
    assert "".join(part.get("arguments", "") for part in parts) == call["arguments"]
    (choice,) = front.post("/chat", json=ASK | {"return_function_call": True}).json()["choices"]
    assert json.loads(choice["message"]["content"]) == {"name": "get_weather", "parameters": {"city": "A"}}
    assert len(joined(chunks(front, ASK))["tool_calls"]) == 2


@pytest.mark.parametrize("reason", ["length", "content_filter"])
def test_reasons_pass(front: RunningServer, backend: RawBackend, reason: str) -> None:
    backend.play(stream(*text('get_weather\n{"city": "Par'), delta(reason=reason)))
    result = joined(chunks(front, ASK))
    assert (result["finish_reason"], result["tool_calls"]) == (reason, [])
    assert answer(front, ASK)["finish_reason"] == reason


def test_usage_passes(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop"), {"choices": [], "usage": USAGE}))
    assert front.post(json=HELLO).json()["usage"] == USAGE
    assert not any("usage" in chunk for chunk in chunks(front, HELLO))
    last = chunks(front, HELLO | {"stream_options": {"include_usage": True}})[-1]
    assert (last["choices"], last["usage"]) == ([], USAGE)


def test_backend_that_does_not_stream(front: RunningServer, backend: RawBackend) -> None:
    calls = [
        {"id": "id-a", "type": "function", "function": {"name": "f", "arguments": '{"x": "é"}'}},
        {"id": "id-b", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
    message = {"role": "assistant", "content": None, "reasoning_content": "Hm.", "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    backend.play(whole({"choices": [choice], "usage": USAGE}))
    result = folded(answer(front, HELLO))
    assert (result["reasoning_content"], result["tool_calls"]) == ("Hm.", BOTH)
    assert joined(chunks(front, HELLO)) == result


def test_events_go_out_as_they_come(front: RunningServer, backend: RawBackend) -> None:
    """The backend waits for the client to leave, so what the client has seen by then was not held back."""
    backend.play(stream(*text("Hi"), UNTIL_THE_CLIENT_LEAVES, end=False))
    body = HELLO | {"stream": True}
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=body, timeout=60) as response:
        lines = response.iter_lines()
        assert any('"content":"i"' in line for line in lines)
        assert not backend.left.is_set()
    assert backend.left.wait(10)


def test_models(front: RunningServer) -> None:
    (info,) = httpx.get(f"{front.url}/v1/models").json()["data"]
    assert (info["id"], info["created"], info["context_length"]) == ("glm-4-9b-chat", 7, 4096)
    assert (info["chat_format"], info["thinking"]) == ("glm4", "never")
    assert httpx.get(f"{front.url}/v1/models/glm-4-9b-chat").json() == info
    (card,) = httpx.get(f"{front.url}/models").json()["data"]
    assert (card["id"], card["object"]) == ("glm-4-9b-chat", "chat.completion")
    missing = httpx.get(f"{front.url}/v1/models/gpt-9")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")


def test_a_list_of_models_with_odd_entries(front: RunningServer, backend: RawBackend) -> None:
    """Half a character, milliseconds, and figures that are none."""
    odd = [
        {"id": "half \ud800", "created": 1_700_000_000_000, "max_model_len": True},
        {"id": "old", "created": -1, "context_length": -5},
    ]
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    backend.models = whole({"object": "list", "data": odd})
    try:
        listed = httpx.get(f"{front.url}/v1/models").json()["data"]
        for path, header in (("/v1/models", "anthropic-version"), ("/api/tags", "x")):
            assert httpx.get(front.url + path, headers={header: "2023-06-01"}).status_code == 200
        assert answer(front, {"messages": user("Hello!")})["message"]["content"] == "Hi"
    finally:
        backend.models = whole(MODELS)
    expected = [("half \ufffd", 0, None), ("old", 0, None)]
    assert [(model["id"], model["created"], model["context_length"]) for model in listed] == expected
    assert backend.requests[0].body["model"] == "half \ufffd"


def test_completions(front: RunningServer, backend: RawBackend) -> None:
    parts = [{"choices": [{"index": 0, "text": text, "finish_reason": None}]} for text in ("get_", "weather")]
    end = {"choices": [{"index": 0, "text": "", "finish_reason": "length"}], "usage": USAGE}
    backend.play(stream(*parts, end))
    body = {"model": "glm-4-9b-chat", "prompt": ["one", "two"], "max_tokens": 2, "echo": True, "best_of": 1}
    response = front.post("/v1/completions", json=body).json()
    assert [choice["text"] for choice in response["choices"]] == ["get_weather"] * 2
    assert [choice["finish_reason"] for choice in response["choices"]] == ["length"] * 2
    assert response["usage"] == {
        "prompt_tokens": 22,
        "completion_tokens": 10,
        "total_tokens": 32,
        "prompt_tokens_details": {"cached_tokens": 6, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    assert [request.body["prompt"] for request in backend.requests] == ["one", "two"]
    assert backend.requests[0].line == "POST /v1/completions HTTP/1.1"
    assert backend.requests[0].body["echo"] is True
    backend.play(stream(*parts, end))
    streamed = chunks(front, {"model": "m", "prompt": [1, 2, 3]}, "/v1/completions")
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == "get_weather"
    assert backend.requests[0].body["prompt"] == [1, 2, 3]
