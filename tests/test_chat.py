"""``chatglm-server chat``: real processes, on a terminal that an emulator reads, and in pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest

from chatglm_server.cli.chat.markdown_blocks import split_finished
from chatglm_server.cli.chat.tool_file import load_tools
from chatglm_server.cli.main import main
from chatglm_server.cli.safe_text import printable
from chatglm_server.errors import BadOption
from chatglm_server.settings import Settings
from tests.serving import RunningServer, user
from tests.serving_here import serving
from tests.terminals import ROOT, OnTerminal

PROMPT = "(^|\n)> *\n"
QUESTION = "Who are you?"
TOOLS = '''
from typing import Annotated
from pydantic import BaseModel, Field

class Place(BaseModel):
    name: str

def get_weather(city: Annotated[str, Field(description="The name of the city")], days: int = 1) -> dict:
    """Get the current weather in a city"""
    if city == "Oslo":
        raise KeyError("no station there")
    return {"city": city, "days": days}

def at(place: Place) -> Place:
    return place

def _hidden() -> None: ...
'''


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    path = tmp_path / "my_tools.py"
    path.write_text(TOOLS)
    return path


def replay(folder: Path, *answers: dict[str, Any]) -> str:
    path = folder / "answers.jsonl"
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return f"replay:{path}"


def chat(*words: str, stdin: bytes) -> subprocess.CompletedProcess[bytes]:
    """``chatglm-server chat`` in a pipe."""
    command = [sys.executable, "-m", "chatglm_server", "chat", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FORCE_COLOR": "1"}
    return subprocess.run(command, input=stdin, capture_output=True, timeout=60, env=environment)


def test_a_conversation_with_tools(tools: Path, tmp_path: Path) -> None:
    """Also a call that is not allowed, what is saved, and the history of the next conversation."""
    env = {"XDG_STATE_HOME": str(tmp_path / "state")}
    saved = tmp_path / "talk.json"
    with OnTerminal("chat", "--temperature", "0", env=env) as terminal:
        terminal.wait_for(PROMPT)
        assert "demo (a demonstration, not an assistant)" in terminal.text()
        terminal.type(f"{QUESTION}\r")
        terminal.wait_for("I know very little, but I can\\s+call tools.")
        terminal.wait_for(PROMPT)
        terminal.type("/system\x1b\rYou are a demo.\r")
        terminal.wait_for("the system prompt is set")
        terminal.type("/system\r")
        terminal.wait_for("there is no system prompt now")
        terminal.type(f"/tools {tools}\r")
        terminal.wait_for("tools: get_weather, at")
        terminal.type("What is the weather in Paris?\r")
        terminal.wait_for(r'get_weather {"city": "Paris"}\nrun it\? \[y/N\]')
        terminal.type("y\r")
        terminal.wait_for('→ {"city":"Paris","days":1}')
        terminal.wait_for(PROMPT)
        terminal.type("/retry\r")
        terminal.wait_for(r"run it\? \[y/N\]", 2)
        terminal.type("n\r")
        terminal.wait_for(PROMPT)
        terminal.type("/stats\r")
        terminal.wait_for(r"last answer +\d+ tokens of prompt, \d+ of them cached; \d+ written")
        terminal.wait_for(r"first token after \d+\.\d\d s, [\d.]+ tokens a second")
        terminal.type(f"/save {saved}\r")
        terminal.wait_for("saved as")
        terminal.type(f"/save {saved}\r")
        terminal.wait_for("choose another\\s+name")
        terminal.type("/bogus\r")
        terminal.wait_for("/bogus: no such command; /help shows them")
        terminal.type("/help\r")
        terminal.wait_for("/quit  .*leaves")
        terminal.type("/quit\r")
        assert terminal.wait_for_end() == 0
    roles = [(message["role"], message["content"]) for message in json.loads(saved.read_text())["messages"]]
    assert [role for role, _ in roles] == ["user", "assistant", "user", "assistant", "tool", "assistant"]
    assert roles[0] == ("user", QUESTION)
    assert roles[4] == ("tool", "The user did not allow this call.")
    (history,) = (tmp_path / "state").rglob("*-history")
    assert history.stat().st_mode & 0o777 == 0o600
    assert f"+{QUESTION}\n" in history.read_text()


THOUGHT = "They want a table, and quickly."
TABLE = "# Title\n\n| a | b |\n|---|---|\n| 1 | **2** |\n\n```python\nx = 1\n```\n\nsee [here](http://elsewhere/)\n"
HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe\r[red]x[/red]"


def test_markdown_thoughts_and_hostile_text(tmp_path: Path) -> None:
    answers = {"raw": f"{THOUGHT}</think>{TABLE}\n{HOSTILE}", "format": "glm47", "prompt_ends_in_think": True}
    with OnTerminal("chat", replay(tmp_path, answers | {"chunk_size": 7, "delay_ms": 5}), "-p", "go") as terminal:
        assert terminal.wait_for_end() == 0
    text = terminal.text()
    assert THOUGHT not in text
    assert "thought for 0." in text
    assert " a  b\n ────\n 1  2\n\n x = 1\n\nsee here (http://elsewhere/)\n\n" in text
    assert "␛]0;owned␇␛[2J" in text
    assert "[red]x[/red]" in text
    for part in (b"\x1b]", b"\x1b[2J", b"\x07", "\x9b".encode(), "\u202e".encode()):
        assert part not in terminal.raw


def test_formulas_are_shown_as_they_are_written(tmp_path: Path) -> None:
    text = "So \\(a_1 * b * c\\):\n\n\\[\n\\frac{a}{b}\n- c\n\\]\n\nIt costs $5 or $6.\n"
    answer = {"raw": text, "format": "glm4", "chunk_size": 3}
    with OnTerminal("chat", replay(tmp_path, answer), "-p", "go") as terminal:
        assert terminal.wait_for_end() == 0
    assert "So a_1 * b * c:\n\n\\frac{a}{b}\n- c\n\nIt costs $5 or $6.\n" in terminal.text()


def test_ctrl_c_stops_the_answer_and_not_the_program(tmp_path: Path) -> None:
    slow = {"raw": "word " * 5000, "format": "glm4", "chunk_size": 5, "delay_ms": 20}
    options = ("chat", replay(tmp_path, slow, {"raw": "A second answer.", "format": "glm4"}))
    with OnTerminal(*options, env={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("First line\x1b\rand a second one\r")
        terminal.wait_for("word word")
        terminal.type("\x03")
        terminal.wait_for("stopped; /retry asks again")
        assert "^C" not in terminal.text()
        terminal.wait_for(PROMPT)
        terminal.type("half a question\x03")
        terminal.wait_for("half a question\n> *\n")
        terminal.type("/retry\r")
        terminal.wait_for("A second answer.")
        terminal.type(f"/save {tmp_path / 'talk.md'}\r")
        terminal.wait_for("saved")
        terminal.wait_for(PROMPT)
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0
    assert (tmp_path / "talk.md").read_text() == (
        "## user\n\nFirst line\nand a second one\n\n## assistant\n\nA second answer.\n"
    )


def test_keys_that_are_no_text(tmp_path: Path) -> None:
    """A byte that is not UTF-8, in a question and in the system prompt."""
    with OnTerminal("chat", env={"XDG_STATE_HOME": str(tmp_path)}) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("/system Be brief.\udcff\r")
        terminal.wait_for("the system prompt is set")
        terminal.type(f"{QUESTION}\udcff\r")
        terminal.type("/stats\r")
        terminal.wait_for("all answers .* 1 answer")
        terminal.type("\x04")
        assert terminal.wait_for_end() == 0


def test_ctrl_c_ends_one_question(tmp_path: Path) -> None:
    slow = {"raw": "word " * 5000, "format": "glm4", "chunk_size": 5, "delay_ms": 20}
    with OnTerminal("chat", replay(tmp_path, slow), "-p", "go") as terminal:
        terminal.wait_for("word word")
        terminal.type("\x03")
        assert terminal.wait_for_end() == 130


def test_an_answer_that_is_cut_off_is_said_on_stderr(tmp_path: Path) -> None:
    done = chat(replay(tmp_path, {"raw": "half an", "format": "glm4", "finish_reason": "length"}), stdin=b"go")
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (0, b"half an\n", 1)
    assert b"limit of tokens" in done.stderr


def test_an_answer_without_text_is_said(tmp_path: Path) -> None:
    silent = replay(tmp_path, {"raw": "", "format": "glm4"})
    done = chat(silent, stdin=b"go")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"the model wrote nothing\n")
    with OnTerminal("chat", silent, env={"XDG_STATE_HOME": str(tmp_path), "COLUMNS": "50"}) as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("go\r")
        terminal.wait_for("the model wrote nothing; /retry asks again, /new\nbegins a new conversation")
        terminal.type("/help\r")
        terminal.wait_for("/system TEXT    sets the system prompt; without\n {16}TEXT, takes it away")


def test_a_pipe_gets_the_answer_and_nothing_else(server: RunningServer) -> None:
    """By an address, and with the engine in the process: both give what the API gives."""
    question = "Review this\n\nWho are you?"
    asked = {"messages": user(question), "temperature": 0}
    answer = server.post(json=asked).json()["choices"][0]["message"]["content"]
    for model in ([server.url], []):
        done = chat(*model, "-p", "Review this", "--temperature", "0", stdin=b"Who are you?\n")
        assert (done.returncode, done.stdout.decode(), done.stderr) == (0, f"{answer}\n", b"")


def test_control_characters_do_not_pass_a_pipe(tmp_path: Path) -> None:
    thinks = {"raw": f"{THOUGHT}</think>{HOSTILE}\n", "format": "glm47", "prompt_ends_in_think": True}
    done = chat(replay(tmp_path, thinks | {"chunk_size": 1}), stdin="问\xff".encode("latin-1", "replace"))
    assert done.stdout.decode() == f"{printable(HOSTILE)}\n"
    assert "␛]0;owned␇␛[2J�31m�gnp.exe␍[red]x[/red]" in done.stdout.decode()


@pytest.mark.parametrize(
    ("words", "stdin", "status", "message"),
    [
        (["http://127.0.0.1:9"], b"x", 1, "error: the backend at http://127.0.0.1:9/v1 cannot be reached: "),
        (
            ["http://me:secret@host/v1"],
            b"x",
            1,
            "error: the address must not hold a user, a query or a fragment; a key ",
        ),
        (["http://host", "--api-key", "a key"], b"x", 2, "error: --api-key: a key has no blanks"),
        (["no-such-model"], b"x", 1, "error: no-such-model: no such file"),
        ([], b"", 2, "error: --prompt: there is nothing to ask"),
        (["--tools", "x.py"], b"x", 2, "error: --tools: a call runs only after a y, which needs a terminal"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    words: list[str],
    stdin: bytes,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(stdin)))
    assert main(["chat", *words]) == status
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    assert line.startswith(message)
    assert "--upstream-api-key" not in line


def test_a_server_that_asks_for_a_key(tmp_path: Path) -> None:
    model = replay(tmp_path, {"raw": "Hello.", "format": "glm4"})
    with serving(Settings(_env_file=None, model=model, api_key="secret")) as (url, _):
        for key in ([], ["--api-key", "other"]):
            done = chat(url, *key, stdin=b"Hi")
            (line,) = done.stderr.decode().splitlines()
            assert (done.returncode, done.stdout) == (1, b"")
            assert line.startswith(f"error: {url}/v1: the API key is ")
            assert line.endswith("; give the key with --api-key")
        assert chat(url, "--api-key", "secret", stdin=b"Hi").stdout == b"Hello.\n"


def test_a_bad_setting_of_the_server_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(b"x")))
    monkeypatch.setenv("CHATGLM_THREADS", "many")
    assert main(["chat"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: --threads: ")


def test_functions_become_tools(tools: Path) -> None:
    """A result, an exception and arguments that do not fit are text; pydantic's models are made and written."""
    functions = load_tools(tools)
    assert list(functions) == ["get_weather", "at"]
    assert functions["get_weather"].tool.function == {
        "name": "get_weather",
        "description": "Get the current weather in a city",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The name of the city"},
                "days": {"type": "integer", "default": 1},
            },
            "required": ["city"],
            "additionalProperties": False,
        },
    }
    call = functions["get_weather"].call
    assert call({"city": "Paris", "days": "2"}) == '{"city":"Paris","days":2}'
    assert call({"city": "Oslo"}) == "error: KeyError: 'no station there'"
    assert call({"days": 1}).startswith("error: city: ")
    assert call("no JSON") == "error: the arguments are not a JSON object"
    assert functions["at"].call({"place": {"name": "here"}}) == '{"name":"here"}'


def test_a_function_may_leave_and_return_half_characters(tmp_path: Path) -> None:
    path = tmp_path / "odd_tools.py"
    path.write_text(
        "def leave() -> None:\n    raise SystemExit(3)\n\n"
        "def name() -> str:\n    return b'caf\\xe9'.decode(errors='surrogateescape')\n"
    )
    functions = load_tools(path)
    assert functions["leave"].call({}) == "error: SystemExit: 3"
    assert functions["name"].call({}) == "caf\ufffd"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "No such file"),
        ("x = (", "SyntaxError"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("x = 1", "holds no function"),
        ("import socket\ndef f(a: socket.socket): ...", "f: parameters that JSON cannot hold"),
        ("def f(a, /): ...", "f: parameters that JSON cannot hold"),
        ("async def f(): ...", "f: is async"),
    ],
)
def test_bad_tool_file(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadOption, match=message) as caught:
        load_tools(path)
    assert "\n" not in caught.value.message
    assert str(path) in caught.value.message


def test_finished_blocks_are_those_that_later_text_does_not_change() -> None:
    """However the text is cut, the finished blocks join to it, and are the same as in one piece."""
    finished, pending = [], ""
    for character in TABLE:
        done, pending = split_finished(pending + character)
        finished += [done] if done else []
    assert "".join([*finished, pending]) == TABLE
    assert [block.strip()[:3] for block in finished] == ["# T", "| a", "```"]


def test_only_line_breaks_end_the_lines_of_markdown() -> None:
    """U+2028 and its like stand in the middle of a line there."""
    code = "```\na\u2028b\u2028c\x0cd\x85e\n```\n"
    assert split_finished(f"{code}\nNext") == (f"{code}\n", "Next")
