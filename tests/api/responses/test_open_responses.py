"""What the specification of Open Responses demands: the keys of a response, of its parts, and of each event.

The facts are those of its schema (openresponses/openresponses, version of 2026-04-24), and the cases are those of its
own suite, but for images and compaction. Thoughts have OpenAI's events (``response.reasoning_text.delta``), as Codex
and openai-python read them; Open Responses calls these ``response.reasoning.delta``.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai.types.responses import Response

from tests.api.responses.test_responses_stream import items_of, streamed
from tests.conftest import WEATHER
from tests.serving import RunningServer

NUMBER = (int, float)
NONE = type(None)
RESPONSE: dict[str, Any] = {
    **dict.fromkeys(("id", "object", "status", "model", "truncation", "service_tier"), str),
    **dict.fromkeys(("previous_response_id", "instructions", "safety_identifier", "prompt_cache_key"), (str, NONE)),
    **dict.fromkeys(("created_at", "top_logprobs"), int),
    **dict.fromkeys(("completed_at", "max_output_tokens", "max_tool_calls"), (int, NONE)),
    **dict.fromkeys(("top_p", "temperature", "presence_penalty", "frequency_penalty"), NUMBER),
    **dict.fromkeys(("parallel_tool_calls", "store", "background"), bool),
    **dict.fromkeys(("output", "tools"), list),
    **dict.fromkeys(("text", "metadata"), dict),
    **dict.fromkeys(("incomplete_details", "error", "reasoning", "usage"), (dict, NONE)),
    "tool_choice": (str, dict),
    "user": (str, NONE),
}
"""Each key that must be there, with the types of its value."""

INSIDE: dict[str, set[str]] = {
    "usage": {"input_tokens", "output_tokens", "total_tokens", "input_tokens_details", "output_tokens_details"},
    "reasoning": {"effort", "summary"},
    "text": {"format"},
    "incomplete_details": {"reason"},
    "error": {"code", "message"},
}
TOOL = {"type", "name", "description", "parameters", "strict"}
ITEMS: dict[str, set[str]] = {
    "message": {"type", "id", "status", "role", "content"},
    "function_call": {"type", "id", "call_id", "name", "arguments", "status"},
}
OUTPUT_TEXT = {"type", "text", "annotations"}

PLACE = {"item_id", "output_index"}
EVENTS: dict[str, set[str]] = {
    "response.created": {"response"},
    "response.in_progress": {"response"},
    "response.completed": {"response"},
    "response.output_item.added": {"output_index", "item"},
    "response.output_item.done": {"output_index", "item"},
    "response.content_part.added": PLACE | {"content_index", "part"},
    "response.content_part.done": PLACE | {"content_index", "part"},
    "response.output_text.delta": PLACE | {"content_index", "delta"},
    "response.output_text.done": PLACE | {"content_index", "text"},
    "response.function_call_arguments.delta": PLACE | {"delta"},
    "response.function_call_arguments.done": PLACE | {"arguments"},
}
"""Besides ``type`` and ``sequence_number``."""

TOOLS = [{"type": "function", **WEATHER["function"]}]


def said(role: str, content: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": content, **more}


WEATHER_IN_PARIS = [said("user", "What is the weather in Paris?")]
CASES: dict[str, dict[str, Any]] = {
    "a text": {"input": [said("user", "Hello!")]},
    "a system prompt": {"input": [said("system", "You are a poet."), said("user", "Hello!")]},
    "a call": {"input": WEATHER_IN_PARIS, "tools": TOOLS, "temperature": 0},
    "several turns": {"input": [said("user", "I am Ann."), said("assistant", "Hello Ann!"), said("user", "Hello!")]},
    "phases": {
        "input": [
            *(said("user", "Hi"), said("assistant", "I look.", phase="commentary")),
            *(said("assistant", "Done.", phase="final_answer"), said("user", "Hello!")),
        ]
    },
}


def check(response: dict[str, Any]) -> None:
    for name, kinds in RESPONSE.items():
        value = response[name]
        assert isinstance(value, kinds), f"{name} is {value!r}"
        assert isinstance(value, bool) == (kinds is bool), f"{name} is {value!r}"
    for name, keys in INSIDE.items():
        assert response[name] is None or response[name].keys() >= keys
    for tool in response["tools"]:
        assert tool.keys() >= TOOL
    for item in response["output"]:
        check_item(item)


def check_item(item: dict[str, Any]) -> None:
    assert item.keys() >= ITEMS[item["type"]]
    assert item["status"] in ("in_progress", "completed", "incomplete")
    for part in item.get("content", ()):
        assert part.keys() >= OUTPUT_TEXT


def kinds_of(response: dict[str, Any]) -> list[str]:
    return [item["type"] for item in response["output"]]


@pytest.mark.parametrize("case", CASES)
def test_whole_and_streamed(server: RunningServer, case: str) -> None:
    body = {"max_output_tokens": 40} | CASES[case]
    whole = server.post("/v1/responses", json=body).json()
    events = streamed(server.url, **body)
    items_of(events)
    for event in events:
        assert event.keys() >= EVENTS[event["type"]] | {"type", "sequence_number"}
        if "response" in event:
            check(event["response"])
        if "item" in event:
            check_item(event["item"])
        if "part" in event:
            assert event["part"].keys() >= OUTPUT_TEXT
    for response in (whole, events[-1]["response"]):
        check(response)
        Response.model_validate(response)
        assert response["status"] == "completed"
        assert kinds_of(response) == (["function_call"] if "tools" in body else ["message"])
    if "tools" in body:
        kinds = {event["type"] for event in events}
        assert {"response.function_call_arguments.delta", "response.function_call_arguments.done"} < kinds


def test_phases_are_labels_only(server: RunningServer) -> None:
    """A client gives back what it got elsewhere; the prompt is the same without."""
    labelled = CASES["phases"]["input"]
    bare = [{name: value for name, value in item.items() if name != "phase"} for item in labelled]
    ask = {"max_output_tokens": 1}
    lengths = [
        server.post("/v1/responses", json=ask | {"input": items}).json()["usage"]["input_tokens"]
        for items in (labelled, bare)
    ]
    assert lengths[0] == lengths[1]


def test_what_a_response_repeats(server: RunningServer) -> None:
    form = {"type": "json_schema", "name": "n", "schema": {"type": "object", "properties": {"a": {"type": "boolean"}}}}
    body = {"input": "Hello!", "store": True, "metadata": {"a": "b"}, "tools": [{"type": "function", "name": "f"}]}
    body |= {"text": {"format": form}, "tool_choice": "none"}
    answer = server.post("/v1/responses", json=body).json()
    check(answer)
    assert json.loads(answer["output"][0]["content"][0]["text"]).keys() <= {"a"}
    assert answer["store"] is False
    assert answer["metadata"] == {"a": "b"}
    assert answer["tools"] == [
        {"type": "function", "name": "f", "description": None, "parameters": None, "strict": None}
    ]
    assert answer["text"]["format"] == form | {"description": None, "strict": False}
