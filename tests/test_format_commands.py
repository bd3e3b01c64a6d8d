"""``parse`` and ``render``: JSON Lines in and out, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

RAW = "Hm.</think>So.<tool_call>look<arg_key>at</arg_key>the 海</arg_value></tool_call><|observation|>x"
PARSED = {
    "content": "So.",
    "reasoning_content": "Hm.",
    "tool_calls": [{"name": "look", "arguments": {"at": "the 海"}}],
    "finish_reason": "tool_calls",
    "repairs": ["missing <arg_value>"],
}


def run(*words: str, lines: list[Any]) -> tuple[int, list[Any], list[Any]]:
    """Exit status, and the objects on stdout and stderr; strings among `lines` are lines as they are."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    result = subprocess.run(
        [sys.executable, "-m", "chatglm_server", *words], input=text.encode(), capture_output=True, timeout=300
    )
    shown, errors = ([json.loads(line) for line in out.decode().splitlines()] for out in (result.stdout, result.stderr))
    return result.returncode, shown, errors


@pytest.mark.parametrize("options", [(), ("--chunk-size", "0"), ("--chunk-size", "1"), ("--chunk-size", "7")])
def test_parse(options: tuple[str, ...]) -> None:
    line = {"format": "glm47", "raw": RAW, "tools": [{"name": "look"}], "prompt_ends_in_think": True}
    wrapped = [{"type": "function", "function": {"name": "look"}}]
    lines = [line, line | {"tools": wrapped, "finish_reason": "length"}, {"format": "glm4", "raw": ""}]
    status, shown, errors = run("parse", *options, lines=lines)

    assert (status, errors) == (0, [])
    assert shown == [
        PARSED,
        PARSED | {"finish_reason": "length"},
        {"content": None, "reasoning_content": None, "tool_calls": [], "finish_reason": "stop", "repairs": []},
    ]


def test_render() -> None:
    messages = [
        {"role": "developer", "content": None},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    lines = [
        {"format": "chatglm2", "messages": messages[1:]},
        {"format": "glm47", "messages": messages, "enable_thinking": False},
        {"format": "glm52", "messages": messages, "extra_kwargs": {"reasoning_effort": "high"}},
        {"format": "glm45", "messages": messages, "add_generation_prompt": False},
    ]
    status, shown, errors = run("render", lines=lines)

    assert (status, errors) == (0, [])
    assert [line["prompt"] for line in shown] == [
        "[Round 1]\n\n问：ab\n\n答：",
        "[gMASK]<sop><|system|><|user|>ab<|assistant|></think>",
        "[gMASK]<sop><|system|>Reasoning Effort: High<|system|><|user|>ab<|assistant|><think>",
        "[gMASK]<sop><|system|>\n<|user|>\nab",
    ]


BAD_PARSE = [
    "{",
    "[]",
    '{"raw": "x"}',
    '{"format": "gpt", "raw": "x"}',
    '{"format": "glm47"}',
    '{"format": "glm47", "raw": 1}',
    '{"format": "glm47", "raw": "x", "tools": {}}',
    '{"format": "glm47", "raw": "x", "tools": [{}]}',
    '{"format": "glm47", "raw": "x", "finish_reason": "end"}',
    '{"format": "glm47", "raw": "x", "prompt_ends_in_think": "no"}',
    '{"format": "glm47", "raw": ' + "[" * 100_000,
]
BAD_RENDER = [
    '{"format": "glm47", "messages": "hi"}',
    '{"format": "glm47", "messages": [{"role": "wizard"}]}',
    '{"format": "glm47", "messages": ["hi"]}',
    '{"format": "glm47", "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}',
    '{"format": "glm47", "messages": [{"role": "assistant", "tool_calls": [1]}]}',
    '{"format": "glm47", "messages": [{"role": "assistant", "tool_calls": [{"name": "f", "arguments": 1}]}]}',
    '{"format": "glm47", "messages": [], "extra_kwargs": {"temperature": 1}}',
    '{"format": "glm47", "messages": [], "enable_thinking": "yes"}',
    '{"format": "chatglm", "messages": [{"role": "tool", "content": "x"}]}',
    '{"format": "chatglm", "messages": [], "add_generation_prompt": false}',
]


@pytest.mark.parametrize(
    ("command", "bad", "good"),
    [
        ("parse", BAD_PARSE, {"format": "chatglm", "raw": "ok"}),
        ("render", BAD_RENDER, {"format": "chatglm", "messages": []}),
    ],
    ids=["parse", "render"],
)
def test_a_bad_line_is_named_and_the_others_are_read(command: str, bad: list[str], good: dict[str, Any]) -> None:
    status, shown, errors = run(command, lines=[good, *bad, "", good])

    assert status == 1
    assert len(shown) == 2
    assert [error["line"] for error in errors] == list(range(2, len(bad) + 2))
    assert all(error["error"] for error in errors)


def test_bytes_that_are_no_text() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "chatglm_server", "parse"], input=b'{"raw": "\xff"}\n', capture_output=True, timeout=300
    )
    assert (result.returncode, result.stdout) == (1, b"")
    assert json.loads(result.stderr)["line"] == 1


def test_they_start_without_the_server() -> None:
    """Neither the web framework nor a model backend is imported for them."""
    script = (
        "import sys; from chatglm_server.cli.main import main; main(['parse']); "
        "print([name for name in ('fastapi', 'chatglm_cpp', 'tiktoken', 'uvicorn') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], input=b"", capture_output=True, timeout=300)
    assert result.stdout.decode().strip() == "[]", result.stderr
