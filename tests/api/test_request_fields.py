"""What clients of other servers send: honoured, translated, ignored and named once in the log, or refused by name."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from openai import OpenAI

from chatglm_server.answer import Answer
from chatglm_server.api.openai.chat_completion import ChatCompletion
from chatglm_server.chat import AnswerEvent, Finish, ReasoningDelta, Usage
from tests.conftest import ADD, WEATHER
from tests.raw_backend import RawBackend, delta, stream, text
from tests.serving import RunningServer, user
from tests.upstream import HELLO, answer, chunks

OK: dict[str, Any] = {"messages": user("Hello!"), "max_tokens": 1, "temperature": 0}
ASK: dict[str, Any] = {"messages": user("What is the weather in Paris?"), "temperature": 0}


def choice(server: RunningServer, body: dict[str, Any], path: str = "/v1/chat/completions") -> dict[str, Any]:
    response = server.post(path, json=body)
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()["choices"][0]
    return result


def prompt_tokens(server: RunningServer, body: dict[str, Any]) -> int:
    count: int = server.post(json=body | {"max_tokens": 1}).json()["usage"]["prompt_tokens"]
    return count


def test_hints_and_unknown_fields_are_named_once() -> None:
    hints = {
        "store": True,
        "verbosity": "low",
        "web_search_options": {},
        "metadata": {"a": "b"},
        "user": "secret-of-the-user",
        "safety_identifier": "x",
    }
    tuning = {"cache_prompt": True, "dry_multiplier": 0.8, "a_field_of_the_future": {"x": 1}}
    body = OK | hints | tuning | {"reasoning_effort": "high", "reasoning": {"effort": "high", "summary": "auto"}}
    with RunningServer() as server:
        for _ in range(2):
            assert server.post(json=body).status_code == 200
        server.wait_for_line("a_field_of_the_future", timeout=10)
        for name in hints:
            assert server.output.count(f"ignoring the hint '{name}'") == 1
        for name in tuning:
            assert server.output.count(f"ignoring the unknown request field '{name}'") == 1
        assert server.output.count("does not think first") == 1
        assert "secret-of-the-user" not in server.output


PROMISES: dict[str, object] = {
    "audio": {"voice": "x"},
}
NOTHING: dict[str, object] = {
    **dict.fromkeys(("grammar", "guided_json", "guided_choice", "structured_outputs", "json_schema", "audio"), None),
    "regex": "",
    "response_format": {"type": "text"},
    "continue_final_message": False,
    "add_generation_prompt": True,
    "thinking_budget": 100,
    "timings_per_token": False,
    "return_progress": False,
    "modalities": ["text"],
}


@pytest.mark.parametrize("name", PROMISES)
def test_a_promise_that_cannot_be_kept_is_refused_by_name(server: RunningServer, name: str) -> None:
    for path in ("/v1/chat/completions", "/chat"):
        response = server.post(path, json=OK | {name: PROMISES[name]})
        error = response.json()["error"]
        assert (response.status_code, error["code"], error["param"]) == (400, "unsupported_parameter", name)
        assert name in error["message"]


def test_a_refused_field_is_not_called_unknown() -> None:
    with RunningServer() as server:
        assert server.post(json=OK | {"guided_regex": "("}).status_code == 400
        server.wait_for_line("invalid_value", timeout=10)
        assert "unknown request field" not in server.output


def test_values_that_promise_nothing(server: RunningServer) -> None:
    assert server.post(json=OK | NOTHING).status_code == 200


def test_two_forms_of_one_answer_contradict_each_other(server: RunningServer) -> None:
    response = server.post(json=OK | {"guided_regex": "x", "response_format": {"type": "json_object"}})
    assert (response.status_code, response.json()["error"]["param"]) == (400, "guided_regex")


def test_no_limit(server: RunningServer) -> None:
    unlimited = OK | {"max_tokens": -1}
    left_out = {name: value for name, value in OK.items() if name != "max_tokens"}
    assert choice(server, unlimited) == choice(server, left_out)
    assert choice(server, unlimited)["finish_reason"] == "stop"
    assert choice(server, left_out | {"max_completion_tokens": -1}) == choice(server, left_out)
    bare = {"prompt": "Hello", "temperature": 0}
    response = server.post("/v1/completions", json=bare | {"max_tokens": -1}).json()
    assert response["usage"]["completion_tokens"] > 16 or response["choices"][0]["finish_reason"] == "stop"


def test_top_p_of_zero_is_greedy(server: RunningServer) -> None:
    body = {"messages": user("Who are you?"), "max_tokens": 20}
    greedy = choice(server, body | {"temperature": 0})
    for seed in range(3):
        assert choice(server, body | {"top_p": 0, "temperature": 2, "seed": seed}) == greedy
    own = {"temperature": 0, "repetition_penalty": 1.1}
    glm = choice(server, body | {"top_p": 0, "temperature": 2}, "/chat")
    assert glm["message"]["content"] == choice(server, body | own)["message"]["content"]


def test_zero_tokens_are_refused_in_words(server: RunningServer) -> None:
    for path in ("/chat", "/v1/chat/completions"):
        error = server.post(path, json=OK | {"max_tokens": 0}).json()["error"]
        assert error["param"] == "max_tokens"
        assert "at least 1" in error["message"]


def test_the_parts_of_the_responses_api_are_text(server: RunningServer) -> None:
    def said(kind: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": [{"type": kind, "text": "Hello!"}]}], "temperature": 0}

    assert choice(server, said("input_text")) == choice(server, said("text")) == choice(server, said("output_text"))


def test_a_tool_without_a_type_is_a_function(server: RunningServer) -> None:
    bare = {name: value for name, value in WEATHER.items() if name != "type"}
    calls = [choice(server, ASK | {"tools": [tool]})["message"]["tool_calls"] for tool in (bare, WEATHER)]
    assert calls[0][0]["function"] == calls[1][0]["function"]


def allowed(*names: str, mode: str = "auto") -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def test_allowed_tools(server: RunningServer) -> None:
    both = ASK | {"tools": [WEATHER, ADD]}
    only = both | {"tool_choice": allowed("get_weather")}
    assert prompt_tokens(server, only) == prompt_tokens(server, ASK | {"tools": [WEATHER]})
    forced = choice(server, both | {"tool_choice": allowed("add", mode="required"), "max_tokens": 60})
    assert {call["function"]["name"] for call in forced["message"].get("tool_calls", ())} <= {"add"}
    for wrong in (allowed("nobody"), {"type": "allowed_tools", "allowed_tools": {"tools": 5}}):
        response = server.post(json=both | {"tool_choice": wrong})
        assert response.status_code == 400
        assert response.json()["error"]["param"].startswith("tool_choice")


FUNCTION: dict[str, Any] = WEATHER["function"]  # type: ignore[assignment]
OLD_HISTORY: list[dict[str, Any]] = [
    *user("What is the weather in Paris?"),
    {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
    {"role": "function", "name": "get_weather", "content": "21 degrees"},
]
NEW_HISTORY: list[dict[str, Any]] = [
    *user("What is the weather in Paris?"),
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "21 degrees"},
]


def test_functions_are_tools(server: RunningServer, client: OpenAI) -> None:
    """The way before tools, in whole answers, streams and histories."""
    new = choice(server, ASK | {"tools": [WEATHER]})
    old = choice(server, ASK | {"functions": [FUNCTION]})
    assert old["finish_reason"] == "function_call"
    assert old["message"]["function_call"] == new["message"]["tool_calls"][0]["function"]
    assert old["message"]["content"] is None
    assert "tool_calls" not in old["message"]

    name = arguments = ""
    reason = None
    parts: Any = client.chat.completions.create(
        model="demo",
        messages=ASK["messages"],
        temperature=0,
        functions=[FUNCTION],  # type: ignore[list-item]
        stream=True,
    )
    for part in parts:
        call = part.choices[0].delta.function_call
        if call is not None:
            name, arguments = name + (call.name or ""), arguments + (call.arguments or "")
        reason = reason or part.choices[0].finish_reason
    assert ({"name": name, "arguments": arguments}, reason) == (old["message"]["function_call"], "function_call")

    told = {"messages": OLD_HISTORY, "temperature": 0}
    later = choice(server, told | {"functions": [FUNCTION]})
    assert (
        later["message"]["content"]
        == choice(server, {"messages": NEW_HISTORY, "tools": [WEATHER], "temperature": 0})["message"]["content"]
    )
    assert prompt_tokens(server, ASK | {"functions": [FUNCTION], "function_call": "none"}) == prompt_tokens(server, ASK)
    named = choice(server, ASK | {"functions": [FUNCTION, ADD["function"]], "function_call": {"name": "add"}})
    assert named["message"].get("function_call", {"name": "add"})["name"] == "add"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"functions": [{}]}, "functions[0].function"),
        ({"functions": 5}, "functions"),
        ({"functions": [1] * 1_000_000}, "functions"),
        ({"tools": [WEATHER], "tool_choice": allowed() | {"allowed_tools": {"tools": [1] * 10**6}}}, "tool_choice"),
        ({"response_format": {"type": "json_object", **dict.fromkeys(map(str, range(10**5)))}}, "response_format"),
        ({"functions": [FUNCTION] * 2}, "functions[1].function.name"),
        ({"functions": [FUNCTION], "tools": [WEATHER]}, "functions"),
        ({"functions": [FUNCTION], "function_call": {"name": "nobody"}}, "function_call"),
        ({"functions": [FUNCTION], "function_call": 5}, "function_call"),
        ({"function_call": {"name": "get_weather"}}, "function_call"),
    ],
)
def test_bad_tools_and_formats(server: RunningServer, change: dict[str, Any], param: str) -> None:
    # A report of a million errors would take half a minute.
    response = httpx.post(f"{server.url}/v1/chat/completions", json=ASK | change, timeout=20)
    assert response.status_code == 400
    assert response.json()["error"]["param"].startswith(param)


def test_default_names_of_the_model(server: RunningServer) -> None:
    for name in ("default-model", "gpt-3.5-turbo", "demo"):
        assert server.post(json=OK | {"model": name}).status_code == 200


@pytest.mark.parametrize("question", ["What is the weather in Paris?", "Hello!"])
def test_a_stream_folds_to_the_whole_answer(server: RunningServer, client: OpenAI, question: str) -> None:
    """With openai-python's own accumulator; null content where there are calls alone, text where there is text."""
    body: dict[str, Any] = {"messages": user(question), "tools": [WEATHER], "temperature": 0}
    whole = choice(server, body)["message"]
    with client.chat.completions.stream(model="demo", **body) as events:
        message = events.get_final_completion().choices[0].message
    assert message.content == whole["content"]
    assert (message.content is None) == bool(message.tool_calls) == ("Paris" in question)


def test_an_empty_answer_folds_to_the_whole_answer(server: RunningServer, client: OpenAI) -> None:
    """Neither text nor a call: the content is empty, not null."""
    body: dict[str, Any] = {"messages": user("Hello!"), "tools": [WEATHER], "temperature": 0}
    body["stop"] = choice(server, body)["message"]["content"][0]
    assert choice(server, body)["message"]["content"] == ""
    with client.chat.completions.stream(model="demo", **body) as events:
        assert events.get_final_completion().choices[0].message.content == ""


def test_thoughts_alone_fold_to_empty_content() -> None:
    shape = ChatCompletion("m", offers_tools=True)
    events: list[AnswerEvent] = [ReasoningDelta("Hm."), Finish("length", Usage())]
    sent = [part.data for event in events for part in shape.add(event) if isinstance(part.data, dict)]
    deltas = [chunk["choices"][0]["delta"] for chunk in sent]
    assert deltas == [{"role": "assistant", "content": None}, {"reasoning_content": "Hm."}, {"content": ""}, {}]
    assert shape.whole([Answer.of(events)])["choices"][0]["message"]["content"] == ""


# ---- in front of another server ----

SPELLINGS: dict[str, object] = {
    **PROMISES,
    "thinking": {"type": "disabled"},
    "enable_thinking": False,
    "reasoning_effort": "none",
    "reasoning": {"effort": "low", "summary": "auto"},
    "chat_template_kwargs": {"enable_thinking": False, "style": 1},
    "max_tokens": -1,
    "store": True,
    "cache_prompt": True,
    "best_of": 3,
}


@pytest.mark.parametrize("name", [name for name in SPELLINGS if name not in ("timings_per_token", "return_progress")])
def test_another_server_gets_the_clients_own_spelling(front: RunningServer, backend: RawBackend, name: str) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    body = HELLO | {name: SPELLINGS[name]}
    if name == "audio":
        assert front.post(json=body).status_code == 400
        return
    answer(front, body)
    assert backend.requests[0].body == body


def test_another_server_gets_the_limit_by_the_name_that_all_know(front: RunningServer, backend: RawBackend) -> None:
    for sent, received in [
        ({"max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"max_completion_tokens": -1}, {"max_tokens": -1}),
        ({"max_completion_tokens": 7, "max_tokens": 8}, {"max_completion_tokens": 7, "max_tokens": 8}),
    ]:
        backend.play(stream(*text("Hi"), delta(reason="stop")))
        answer(front, HELLO | sent)
        assert backend.requests[0].body == HELLO | received


def test_functions_before_another_server(front: RunningServer, backend: RawBackend) -> None:
    """They become tools, and the answer's call a function_call."""
    call = {"index": 0, "id": "x", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    backend.play(stream(delta({"tool_calls": [call]}), delta(reason="tool_calls")))
    body = HELLO | {"messages": OLD_HISTORY, "functions": [FUNCTION], "function_call": {"name": "get_weather"}}
    result = answer(front, body)
    sent = backend.requests[0].body
    assert sent["messages"] == [*NEW_HISTORY[:2], NEW_HISTORY[2] | {"name": "get_weather"}]
    assert sent["tools"] == [WEATHER]
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert not {"functions", "function_call"} & set(sent)
    assert result["message"]["function_call"] == {"name": "get_weather", "arguments": "{}"}
    assert [c for c in chunks(front, body) if "function_call" in json.dumps(c)]


def test_a_conversation_says_the_same_by_both_ways(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    body = {"messages": [{"role": "system", "content": "Short."}, *user("Hello!")], "tools": [WEATHER], "seed": 3}
    old = {"messages": [{"role": "system", "content": "Short.", "tools": [FUNCTION]}, *user("Hello!")], "seed": 3}
    front.post(json=body)
    front.post("/chat", json=old)
    assert backend.requests[0].body == backend.requests[1].body
    response = front.post("/chat", json=old).json()
    assert response["model"] == "glm-4-9b-chat"
