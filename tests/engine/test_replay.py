"""Recorded model text through format, parser, scheduler and API, over a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from chatglm_server.cli.main import main
from tests.conftest import WEATHER
from tests.serving import RunningServer, user

CALL3 = "get_weather\n```python\ntool_call(city='巴黎')\n```<|observation|>"
CALL4 = 'I look.\nget_weather\n{"city": "Paris"}<|observation|>'
TWO_CALLS = 'get_weather\n{"city": "A"}<|assistant|>get_weather\n{"city": "B"}<|observation|>'
ASK: dict[str, Any] = {"messages": user("How is the weather?"), "tools": [WEATHER]}

Replay = Callable[..., RunningServer]
Capture = pytest.CaptureFixture[str]


def recording_file(path: Path, *recordings: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in recordings), encoding="utf-8")
    return f"replay:{path}"


@pytest.fixture
def replay(tmp_path: Path) -> Iterator[Replay]:
    """A function that serves the given recordings."""
    running: list[RunningServer] = []

    def start(*recordings: dict[str, Any], options: tuple[str, ...] = ()) -> RunningServer:
        model = recording_file(tmp_path / "recorded.jsonl", *recordings)
        server = RunningServer("--model", model, *options).__enter__()
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


def choice(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    result: dict[str, Any] = response.json()["choices"][0]
    return result


def calls(answer: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    functions = [call["function"] for call in answer["message"].get("tool_calls", ())]
    return [(function["name"], json.loads(function["arguments"])) for function in functions]


def deltas(raw: bytes) -> list[dict[str, Any]]:
    lines = [line for line in raw.decode().splitlines() if line.startswith("data: {")]
    return [json.loads(line.removeprefix("data: "))["choices"][0]["delta"] for line in lines]


def test_recordings_in_turn_each_in_its_format(replay: Replay) -> None:
    server = replay(
        {"raw": "你好！", "format": "chatglm3"},
        {"raw": CALL3, "format": "chatglm3", "chunk_size": 1},
        {"raw": CALL4, "format": "glm4", "chunk_size": 3, "delay_ms": 1},
        {"raw": "I think</think>so.", "format": "glm4", "prompt_ends_in_think": True},
    )
    answers = [choice(server.post(json=ASK)) for _ in range(5)]
    assert answers[0]["message"]["content"] == answers[4]["message"]["content"] == "你好！"
    assert calls(answers[1]) == [("get_weather", {"city": "巴黎"})]
    assert calls(answers[2]) == [("get_weather", {"city": "Paris"})]
    assert answers[2]["message"]["content"] == "I look."
    assert [answer["finish_reason"] for answer in answers] == ["stop", "tool_calls", "tool_calls", "stop", "stop"]
    assert (answers[3]["message"]["reasoning_content"], answers[3]["message"]["content"]) == ("I think", "so.")


@pytest.mark.parametrize(
    ("formats", "shown", "thinking"),
    [
        (["glm47", "glm47"], "glm47", "optional"),
        (["glm52", None], "glm52, glm4", "optional"),
        (["glm-z1"], "glm-z1", "always"),
        ([None], "glm4", "never"),
    ],
    ids=str,
)
def test_the_list_of_models_says_what_the_lines_are(
    replay: Replay, formats: list[str | None], shown: str, thinking: str
) -> None:
    server = replay(*({"raw": "Hi", "format": name} for name in formats))
    (info,) = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert info["chat_format"] == shown
    assert info["thinking"] == thinking
    assert f": {shown}, " in server.output


def test_stream_joins_to_the_whole_answer(replay: Replay) -> None:
    server = replay({"raw": CALL4, "chunk_size": 1})
    whole = choice(server.post(json=ASK))["message"]
    parts = deltas(server.stream(ASK))
    assert "".join(part.get("content") or "" for part in parts) == whole["content"]
    pieces = [call["function"] for part in parts for call in part.get("tool_calls", ())]
    joined = "".join(piece["arguments"] for piece in pieces)
    assert joined == whole["tool_calls"][0]["function"]["arguments"]
    assert len([part for part in parts if part.get("content")]) > 1


def test_the_request_is_heeded_however_the_text_is_cut(replay: Replay) -> None:
    sizes = (0, 1, 4)
    server = replay(*({"raw": TWO_CALLS, "chunk_size": size} for size in sizes))
    for _ in sizes:
        assert len(calls(choice(server.post(json=ASK)))) == 2
    for _ in sizes:
        assert len(calls(choice(server.post(json=ASK | {"parallel_tool_calls": False})))) == 1
    for none in (ASK | {"tool_choice": "none"}, {"messages": ASK["messages"]}):
        for _ in sizes:
            answer = choice(server.post(json=none))
            assert (calls(answer), answer["finish_reason"]) == ([], "stop")
            assert "get_weather" in answer["message"]["content"]


def test_stop_string_and_max_tokens(replay: Replay) -> None:
    sizes = (0, 1, 4)
    server = replay(*({"raw": "one two three", "chunk_size": size} for size in sizes))
    for _ in sizes:
        stopped = choice(server.post(json=ASK | {"stop": "thr"}))
        assert (stopped["message"]["content"], stopped["finish_reason"]) == ("one two ", "stop")
    for _ in sizes:
        cut = server.post(json=ASK | {"max_tokens": 5})
        assert (choice(cut)["message"]["content"], choice(cut)["finish_reason"]) == ("one t", "length")
        assert cut.json()["usage"]["completion_tokens"] == 5
    whole = choice(server.post(json=ASK | {"max_tokens": 13}))
    assert (whole["message"]["content"], whole["finish_reason"]) == ("one two three", "stop")


def test_usage_counts_characters_and_says_so(replay: Replay) -> None:
    server = replay({"raw": "你好！<|user|>"})
    usage = server.post(json={"messages": user("Hello!")}).json()["usage"]
    prompt = "[gMASK]<sop><|user|>\nHello!<|assistant|>"
    assert usage["prompt_tokens"] == len(prompt)
    assert usage["completion_tokens"] == len("你好！<|user|>")
    assert usage["unit"] == "characters"
    (info,) = httpx.get(f"{server.url}/v1/models").json()["data"]
    assert (info["id"], info["unit"]) == ("recorded", "characters")
    assert "characters" in server.output
    assert "speed=" not in server.wait_for_line("completion=11", timeout=10), "all of it came at once"


def test_the_speed_counts_characters(replay: Replay) -> None:
    server = replay({"raw": "12345", "chunk_size": 1, "delay_ms": 1})
    server.post(json={"messages": user("Hello!")})
    line = server.wait_for_line("completion=5", timeout=10)
    assert re.search(r"speed=[0-9.]+char/s", line)


def test_bare_completion_is_the_text_as_it_stands(replay: Replay) -> None:
    server = replay({"raw": "<|x|>" + CALL4, "chunk_size": 2}, {"raw": "second"})
    body = {"prompt": ["a", "b"], "max_tokens": 1000}
    assert [one["text"] for one in server.post("/v1/completions", json=body).json()["choices"]] == [
        "<|x|>" + CALL4,
        "second",
    ]
    refused = server.post("/v1/completions", json={"prompt": [1, 2]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "prompt")


def test_text_that_was_cut_off_when_it_was_recorded(replay: Replay) -> None:
    server = replay({"raw": 'get_weather\n{"city": "Par', "finish_reason": "length"})
    answer = choice(server.post(json=ASK))
    assert (calls(answer), answer["finish_reason"]) == ([], "length")


def test_prompt_longer_than_the_context(replay: Replay) -> None:
    server = replay({"raw": "Hi"}, options=("--context-length", "100"))
    refused = server.post(json={"messages": user("x" * 100), "stream": True})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    assert "100" in refused.json()["error"]["message"]


SLOW = {"raw": "never said", "chunk_size": 1, "delay_ms": 600_000}


def test_client_that_leaves_frees_the_turn(replay: Replay) -> None:
    server = replay(SLOW, SLOW, {"raw": "Hi"})
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=ASK | {"stream": True}, timeout=60):
        server.wait_for_queue(running=1)
    server.wait_for_queue(running=0, waiting=0)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/v1/chat/completions", json=ASK, timeout=0.5)
    server.wait_for_queue(running=0, waiting=0)
    assert choice(server.post(json=ASK))["message"]["content"] == "Hi"


def test_a_delay_does_not_hold_up_the_end(replay: Replay) -> None:
    server = replay(SLOW)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=ASK | {"stream": True}, timeout=60) as response:
        lines = response.iter_lines()
        next(lines)
        server.process.terminate()
        last = [line for line in lines if line][-1]
    assert json.loads(last.removeprefix("data: "))["error"]["code"] == "server_shutting_down"
    assert server.process.wait(30) == 0


def test_pieces_go_out_while_the_answer_is_made(replay: Replay) -> None:
    """The second piece comes ten minutes after the first: who has the first has it from an unfinished answer."""
    server = replay(SLOW)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=ASK | {"stream": True}, timeout=60) as response:
        lines = response.iter_lines()
        assert any('"content":"n"' in line for line in lines)
        assert server.queue()["running"] == 1


@pytest.mark.parametrize(
    ("lines", "number", "says"),
    [
        (['{"raw": "fine"}', '{"raw": 1}'], 2, "raw"),
        (['{"format": "glm4"}'], 1, "raw"),
        (["", '{"raw": "x", "format": "glm3"}'], 2, "glm4"),
        (['{"raw": "x", "chunk_size": -1}'], 1, "chunk_size"),
        (['{"raw": "x", "delay_ms": 1e300}'], 1, "delay_ms"),
        (['{"raw": "x"'], 1, "JSON"),
        (["[]"], 1, "object"),
        (['{"raw": "\\ud800"}'], 1, "JSON"),
        (['{"raw": "' + "x" * (5 << 20) + '"}'], 1, "4 MiB"),
        ([], None, "no recording"),
    ],
    ids=range(10),
)
def test_bad_file(lines: list[str], number: int | None, says: str, tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert main(["--model", f"replay:{path}"]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith(f"error: {path}:{number}: " if number else f"error: {path}: ")
    assert says in shown
    assert len(shown.splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.jsonl", "."])
def test_no_such_file(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["--model", f"replay:{tmp_path / name}"]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def test_a_bad_file_ends_the_process(tmp_path: Path) -> None:
    model = recording_file(tmp_path / "bad.jsonl", {"raw": None})
    command = [sys.executable, "-m", "chatglm_server", "--port", "0", "--model", model]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout) == (1, "")
    assert "bad.jsonl:1: raw: " in result.stderr
    assert len(result.stderr.splitlines()) == 1
