"""Scripts written for GLM-API: /chat in both kinds of stream, /tokenize, /models."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conftest import WEATHER
from tests.random_models import write_random_model
from tests.serving import RunningServer, user

PLAIN: dict[str, Any] = {"messages": user("Hello!"), "temperature": 0}
FUNCTION = WEATHER["function"]
SYSTEM = "Answer the following questions as best as you can. You have access to the following tools:"
CHATGLM3_CALL: dict[str, Any] = {
    "messages": [{"role": "system", "content": SYSTEM, "tools": [FUNCTION]}, *user("What is the weather in Paris?")],
    "temperature": 0,
    "repetition_penalty": 1.0,
}


def events(raw: bytes) -> list[bytes]:
    """The events of a stream, without comments. GLM-API's streams end their lines with CR LF."""
    assert raw.endswith(b"\r\n\r\n")
    assert raw.count(b"\n") == raw.count(b"\r\n")
    return [event for event in raw[:-4].split(b"\r\n\r\n") if not event.startswith(b":")]


def chunks(raw: bytes) -> list[dict[str, Any]]:
    """The JSON of all events but the terminator."""
    *data, end = events(raw)
    assert end == b"data: [DONE]"
    return [json.loads(event.removeprefix(b"data: ")) for event in data]


def texts(raw: bytes) -> list[str]:
    """The content of each chunk that has any."""
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks(raw)]
    return [delta["content"] for delta in deltas if "content" in delta]


def test_stream_is_byte_exact(server: RunningServer) -> None:
    raw = server.stream(PLAIN, "/chat")
    first, *_, last, end = events(raw)
    head = {"model": "demo", "id": json.loads(first[6:])["id"], "object": "chat.completion.chunk"}
    for event, delta, reason in ((first, {"role": "assistant"}, None), (last, {}, "stop")):
        chunk = head | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        assert event == b"data: " + json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode()
    assert end == b"data: [DONE]"


def test_both_kinds_of_stream_say_the_same(server: RunningServer) -> None:
    whole = server.post("/chat", json=PLAIN).json()
    content = whole["choices"][0]["message"]["content"]
    new = texts(server.stream(PLAIN | {"chunk": True}, "/chat"))
    so_far = texts(server.stream(PLAIN | {"chunk": False}, "/chat"))
    assert len(new) > 3
    assert "".join(new) == content
    assert so_far == ["".join(new[: count + 1]) for count in range(len(new))]
    assert texts(server.stream(PLAIN, "/chat")) == new  # `chunk` is true by default


def test_whole_answer_has_the_fields_of_glm_api(server: RunningServer) -> None:
    answer = server.post("/chat", json=PLAIN | {"model": "chatglm3-6b-32k"}).json()
    (choice,) = answer["choices"]
    assert (answer["model"], answer["object"]) == ("demo", "chat.completion")
    assert choice["message"].keys() == {"role", "content", "metadata", "tools"}
    assert (choice["index"], choice["finish_reason"], choice["history"]) == (0, "stop", None)
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    openai = server.post(json=PLAIN | {"repetition_penalty": 1.1}).json()
    assert choice["message"]["content"] == openai["choices"][0]["message"]["content"]
    assert usage["prompt_tokens"] == openai["usage"]["prompt_tokens"]


def test_tokens_that_end_the_answer(server: RunningServer) -> None:
    """Such a token is no part of the answer."""
    whole = server.post("/chat", json=PLAIN).json()
    token = server.post("/tokenize", json={"prompt": "!"}).json()["tokenIds"][-1]
    ended = server.post("/chat", json=PLAIN | {"stop_token_ids": [token]}).json()
    content = whole["choices"][0]["message"]["content"]
    assert ended["choices"][0]["message"]["content"] == content.partition("!")[0] != content
    assert ended["choices"][0]["finish_reason"] == "stop"
    assert ended["usage"]["completion_tokens"] < whole["usage"]["completion_tokens"]


def test_calls_as_with_chatglm3(server: RunningServer) -> None:
    """Tools in the system message, the call as JSON in content, the result as an observation."""
    answer = server.post("/chat", json=CHATGLM3_CALL | {"return_function_call": True}).json()
    (choice,) = answer["choices"]
    assert choice["finish_reason"] == "function_call"
    assert json.loads(choice["message"]["content"]) == {"name": "get_weather", "parameters": {"city": "Paris"}}
    assert choice["history"][:2] == CHATGLM3_CALL["messages"]

    observation = {"role": "observation", "content": '{"temperature": 21, "condition": "sunny"}'}
    told = CHATGLM3_CALL | {"messages": [*choice["history"], observation]}
    last = server.post("/chat", json=told).json()["choices"][0]
    assert last["finish_reason"] == "stop"
    assert "21" in last["message"]["content"]

    # The same history as ChatGLM3 itself writes a call reads the same.
    call = {"role": "assistant", "metadata": "get_weather", "content": " ```python\ntool_call(city='Paris')\n```"}
    written = told | {"messages": [*CHATGLM3_CALL["messages"], call, observation]}
    assert server.post("/chat", json=written).json()["choices"][0]["message"] == last["message"]


@pytest.mark.parametrize(
    "content", [None, "", "no call", "tool_call(city='\\ud800')", "tool_call(x=1e999)", "[" * 5000, '{"a": NaN}']
)
def test_odd_calls_in_the_history_do_no_harm(server: RunningServer, content: str | None) -> None:
    call = {"role": "assistant", "metadata": "get_weather", "content": content}
    messages = [*CHATGLM3_CALL["messages"], call, {"role": "observation", "content": "21"}]
    assert server.post("/chat", json={"messages": messages, "max_tokens": 1}).status_code in (200, 400)


@pytest.mark.parametrize("chunk", [True, False])
def test_calls_as_with_glm4(server: RunningServer, chunk: bool) -> None:
    body = {"messages": user("What is the weather in Paris?"), "tools": [WEATHER], "temperature": 0}
    sent = chunks(server.stream(body | {"repetition_penalty": 1.0, "chunk": chunk}, "/chat"))
    deltas = [call for part in sent for call in part["choices"][0]["delta"].get("tool_calls", ())]
    assert {call["index"] for call in deltas} == {0}
    assert [call["function"]["name"] for call in deltas if "name" in call["function"]] == ["get_weather"]
    assert json.loads("".join(call["function"]["arguments"] for call in deltas)) == {"city": "Paris"}
    assert sent[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_tokenize_has_the_shape_of_the_documented_example(server: RunningServer) -> None:
    text = "给你一个机会，你会想逃离你所在的虚拟世界吗？"
    answer = server.post("/tokenize", json={"prompt": text, "max_tokens": 4096}).json()
    assert list(answer) == ["tokenIds", "tokens", "model", "object"]
    assert (answer["model"], answer["object"]) == ("demo", "tokenizer")
    # As in the example, [gMASK] and sop come first among the ids and not at all among the tokens.
    assert len(answer["tokenIds"]) == len(answer["tokens"]) + 2
    assert answer["tokens"][0].startswith("▁")
    prompt = server.post("/v1/completions", json={"prompt": text, "max_tokens": 1}).json()["usage"]["prompt_tokens"]
    assert len(answer["tokenIds"]) == prompt
    by_ids = {"prompt": answer["tokenIds"], "max_tokens": 8, "temperature": 0}
    again = server.post("/v1/completions", json=by_ids).json()
    assert again["choices"] == server.post("/v1/completions", json=by_ids | {"prompt": text}).json()["choices"]


def test_tokenize_cuts_ids_to_max_tokens(server: RunningServer) -> None:
    whole = server.post("/tokenize", json={"prompt": "one two three"}).json()
    for count in (1, 2, 5, len(whole["tokenIds"])):
        cut = server.post("/tokenize", json={"prompt": "one two three", "max_tokens": count}).json()
        assert cut["tokenIds"] == whole["tokenIds"][:count]
        assert cut["tokens"] == whole["tokens"]


def test_tokens_that_are_part_of_a_character(glm4_server: RunningServer) -> None:
    answer = glm4_server.post("/tokenize", json={"prompt": "a☃"}).json()
    assert len(answer["tokens"]) == len(answer["tokenIds"]) - 2
    assert "".join(answer["tokens"]) in ("a☃", "a\\xe2\\x98\\x83")


def test_special_tokens_after_the_text(tmp_path: Any) -> None:
    """ChatGLM-6B's stand at the end of a prompt, where cutting must not lose them."""
    from chatglm_bin_writer import ModelType

    model = write_random_model(tmp_path / "tiny.bin", ModelType.CHATGLM)
    with RunningServer("--model", str(model)) as server:
        whole = server.post("/tokenize", json={"prompt": "the the the"}).json()["tokenIds"]
        cut = server.post("/tokenize", json={"prompt": "the the the", "max_tokens": len(whole) - 1}).json()["tokenIds"]
        assert cut == whole[:-3] + whole[-2:]


def test_models(server: RunningServer, embedding_server: RunningServer) -> None:
    fields = {"id", "object", "created", "owned_by", "root", "parent", "permission"}
    for running, uses in (
        (server, {"chat.completion"}),
        (embedding_server, {"chat.completion", "embedding", "keyword"}),
    ):
        models = httpx.get(f"{running.url}/models").json()
        assert models["object"] == "list"
        assert all(card.keys() == fields for card in models["data"])
        assert {card["object"] for card in models["data"]} == uses
        (entry,) = httpx.get(f"{running.url}/v1/models").json()["data"]
        assert (entry["id"], entry["object"]) == ("demo", "model")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": 5}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [{"role": "prophet", "content": "x"}]}, "messages[0]"),
        ({"messages": [*user("x"), {"role": "assistant", "content": "y"}]}, "messages"),
        ({"messages": [{"role": "system", "content": "x", "tools": 5}, *user("x")]}, "tools"),
        ({"messages": [{"role": "assistant", "metadata": "a b", "content": "x"}, *user("x")]}, "messages[0]"),
        ({"messages": user("x"), "temperature": -1}, "temperature"),
        ({"messages": user("x"), "chunk": "sometimes"}, "chunk"),
        ({"messages": user("x"), "stop_token_ids": ["x"]}, "stop_token_ids"),
        ({"messages": user("x"), "stop_token_ids": [10**6]}, "stop_token_ids"),
        ({"messages": user("x"), "n": 2}, "n"),
        ({"messages": user("x"), "logprobs": True}, "logprobs"),
        ({"messages": user("x" * 100_000)}, "messages"),
    ],
)
def test_bad_chats(server: RunningServer, body: dict[str, Any], param: str) -> None:
    for stream in (False, True):
        response = server.post("/chat", json=body | {"stream": stream})
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith(param)


def test_an_error_names_even_a_field_of_one_letter(server: RunningServer) -> None:
    error = server.post("/chat", json={"messages": user("x"), "n": 2}).json()["error"]
    assert error["message"].startswith("n: ")


@pytest.mark.parametrize("body", [{}, {"prompt": 5}, {"prompt": ["x"]}, {"prompt": "x", "max_tokens": 0}])
def test_bad_texts_to_tokenize(server: RunningServer, body: dict[str, Any]) -> None:
    response = server.post("/tokenize", json=body)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"
