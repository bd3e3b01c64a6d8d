"""In front of another server that knows no tools, or leaves thoughts in the text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import ADD, WEATHER
from tests.raw_backend import RawBackend, delta, stream, text
from tests.serving import RunningServer, user
from tests.upstream import ASK, HELLO, answer, chunks, joined

HISTORY: list[dict[str, Any]] = [
    {"role": "system", "content": "Be short."},
    *user("Weather?"),
    {
        "role": "assistant",
        "content": "I look.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
]


@pytest.mark.parametrize(
    ("model", "header", "call"),
    [
        ("glm-4-9b", "# 可用工具", 'get_weather\n{"city": "Paris"}'),
        ("chatglm3-6b", "Answer the following", "get_weather\n```python\ntool_call(city='Paris')\n```"),
    ],
)
def test_tools_as_text(text_front: RunningServer, backend: RawBackend, model: str, header: str, call: str) -> None:
    raw = "add\n```python\ntool_call(a=1, b=2)\n```" if "3" in model else 'add\n{"a": 1, "b": 2}'
    backend.play(stream(*text(raw), delta(reason="stop")))
    body = {"model": model, "messages": HISTORY, "tools": [WEATHER, ADD], "parallel_tool_calls": True, "seed": 1}
    result = answer(text_front, body)
    assert json.loads(result["message"]["tool_calls"][0]["function"]["arguments"]) == {"a": 1, "b": 2}
    sent = backend.requests[0].body
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(sent)
    assert sent["seed"] == 1
    system, question, calling, observed = sent["messages"]
    assert [message["role"] for message in sent["messages"]] == ["system", "user", "assistant", "user"]
    assert header in system["content"]
    assert '"get_weather"' in system["content"]
    assert system["content"].endswith("\n\nBe short.")
    assert question["content"] == "Weather?"
    assert calling["content"] == f"I look.\n{call}"
    assert observed["content"] == "<|observation|>\nsunny"


def test_what_clients_add_to_a_conversation(text_front: RunningServer, backend: RawBackend) -> None:
    """A role of OpenAI's newer models, and the index of a call that was folded from a stream."""
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    calls = [{"index": 0, **call} for call in HISTORY[2]["tool_calls"]]
    history = [{"role": "developer", "content": "Be short."}, HISTORY[1], HISTORY[2] | {"tool_calls": calls}]
    answer(text_front, {"model": "glm-4-9b", "messages": [*history, HISTORY[3]], "tools": [WEATHER]})
    system, question, calling, observed = backend.requests[0].body["messages"]
    assert system["content"].endswith("\n\nBe short.")
    assert question["content"] == "Weather?"
    assert "get_weather" in calling["content"]
    assert observed["content"] == "<|observation|>\nsunny"


def test_without_tools_nothing_is_rewritten(text_front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text("Hi"), delta(reason="stop")))
    messages = [{"role": "user", "content": [{"type": "text", "text": "x"}], "name": "eve"}]
    answer(text_front, {"model": "any", "messages": messages, "temperature": 9})
    assert backend.requests[0].body["messages"] == messages
    assert backend.requests[0].body["temperature"] == 9


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "qwen"}, "model"),
        ({"model": "chatglm2-6b"}, "tools"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"messages": [{"role": "wizard"}]}, "messages[0]"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
    ],
)
def test_what_cannot_be_text(text_front: RunningServer, backend: RawBackend, change: Any, param: str) -> None:
    backend.play(stream())
    response = text_front.post(json=ASK | change)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert backend.requests == []


def test_thoughts_of_other_models_are_filtered_where_asked(
    text_front: RunningServer, front: RunningServer, backend: RawBackend
) -> None:
    raw = "<think>Hm.</think>Yes."
    backend.play(stream(*text(raw), delta(reason="stop")))
    result = joined(chunks(text_front, HELLO))
    assert (result["reasoning_content"], result["content"]) == ("Hm.", "Yes.")
    assert joined(chunks(front, HELLO))["content"] == raw


def test_text_that_begins_in_a_thought(backend: RawBackend) -> None:
    """If thoughts come by themselves, the text is the answer."""
    with RunningServer("--model", backend.address, "--upstream-open-think") as open_front:
        backend.play(stream(*text("Hm.</think>Yes."), delta(reason="stop")))
        result = joined(chunks(open_front, ASK))
        assert (result["reasoning_content"], result["content"]) == ("Hm.", "Yes.")
        backend.play(stream(delta({"reasoning_content": "Hm."}), *text("Yes."), delta(reason="stop")))
        result = joined(chunks(open_front, ASK))
        assert (result["reasoning_content"], result["content"]) == ("Hm.", "Yes.")
