"""In front of another server: calls that stand in the text between tags, under whatever name the model has."""

from __future__ import annotations

import json

import pytest

from tests.raw_backend import RawBackend, delta, stream, text
from tests.serving import RunningServer
from tests.upstream import ASK, answer, chunks, folded, joined

TAGGED = "I look.<tool_call>get_weather<arg_key>city</arg_key><arg_value>巴黎</arg_value></tool_call>"
SPREAD = "I look.\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>巴黎</arg_value>\n</tool_call>\n"
UNKNOWN = "I look.<tool_call>fly<arg_key>city</arg_key><arg_value>巴黎</arg_value></tool_call>"
GLM = [
    "glm-4",
    "glm-4-air",
    "glm-4-9b-chat",
    "GLM-4-32B-0414",
    "GLM-Z1-9B-0414",
    "chatglm3-6b",
    "chatglm2-6b",
    "chatglm-6b",
]
NEWER = ["glm-4.5", "glm-4.6", "glm-4.7", "glm-5.2", "my-glm"]


@pytest.mark.parametrize("raw", [TAGGED, SPREAD], ids=["compact", "spread"])
@pytest.mark.parametrize("model", [*GLM, *NEWER])
def test_a_block_that_names_a_declared_tool_is_a_call(
    front: RunningServer, backend: RawBackend, model: str, raw: str
) -> None:
    backend.play(stream(*text(raw), delta(reason="stop")))
    body = ASK | {"model": model}
    result = joined(chunks(front, body))
    assert (result["content"], result["finish_reason"]) == ("I look.", "tool_calls")
    ((name, arguments),) = [(call["name"], json.loads(call["arguments"])) for call in result["tool_calls"]]
    assert (name, arguments) == ("get_weather", {"city": "巴黎"})
    again = folded(answer(front, body))
    for call in (*again["tool_calls"], *result["tool_calls"]):
        del call["id"]
    assert again == result


@pytest.mark.parametrize("model", GLM)
def test_calls_in_both_notations(front: RunningServer, backend: RawBackend, model: str) -> None:
    """A block between tags, and then a call as the model's own format writes it, where that has calls."""
    own = "\nadd\n```python\ntool_call(a=1, b=2)\n```" if "chatglm3" in model else '\nadd\n{"a": 1, "b": 2}'
    backend.play(stream(*text(TAGGED + own), delta(reason="stop")))
    calls = joined(chunks(front, ASK | {"model": model}))["tool_calls"]
    names = ["get_weather"] if model in ("chatglm2-6b", "chatglm-6b") else ["get_weather", "add"]
    assert [call["name"] for call in calls] == names
    assert all(isinstance(json.loads(call["arguments"]), dict) for call in calls)


@pytest.mark.parametrize(
    ("model", "why"), [("glm-4-log", "was read as glm4"), ("qwen3-log", "is not a GLM by its name")]
)
def test_tags_that_stay_text_are_reported_once(front: RunningServer, backend: RawBackend, model: str, why: str) -> None:
    backend.play(stream(*text(UNKNOWN), delta(reason="stop")))
    for _ in range(2):
        result = answer(front, ASK | {"model": model})
        assert (result["message"]["content"], "tool_calls" in result["message"]) == (UNKNOWN, False)
    line = front.wait_for_line(f"an answer of model {model}", timeout=10)
    assert "<tool_call>" in line
    assert why in line
    assert "--chat-format glm47" in line
    assert sum("<tool_call>" in line and model in line for line in front.lines) == 1
    assert "巴黎" not in line


def test_tags_are_not_reported_where_no_tool_was_offered(front: RunningServer, backend: RawBackend) -> None:
    backend.play(stream(*text(TAGGED), delta(reason="stop")))
    answer(front, ASK | {"model": "qwen3-silent", "tools": []})
    assert not any("an answer of model qwen3-silent" in line for line in front.lines)


def test_the_option_that_the_log_recommends_reads_them(backend: RawBackend) -> None:
    backend.play(stream(*text(TAGGED), delta(reason="stop")))
    with RunningServer("--model", backend.address, "--chat-format", "glm47") as front:
        result = answer(front, ASK | {"model": "qwen3"})
    assert result["finish_reason"] == "tool_calls"
