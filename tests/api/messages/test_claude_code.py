"""Claude Code itself, from npm, before recorded answers: it reads a file, edits it, and says so."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.api.messages.test_messages_stream import recorded, replayed

CLIENT = Path(__file__).parents[2] / "clients" / "claude_code"
PROGRAM = CLIENT / "node_modules" / ".bin" / "claude"


@pytest.fixture(scope="session")
def claude() -> Path:
    """The program, installed beside its package.json: 235 MB, so only once."""
    if not PROGRAM.exists():
        words = ["npm", "ci", "--no-audit", "--no-fund"]
        done = subprocess.run(words, cwd=CLIENT, capture_output=True, text=True, timeout=600)
        if done.returncode:
            pytest.skip(f"npm cannot install Claude Code here: {done.stderr[-500:]}")
    return PROGRAM


def call(name: str, **arguments: str) -> str:
    """A call as GLM-4.7 writes it."""
    pairs = (f"<arg_key>{key}</arg_key><arg_value>{value}</arg_value>" for key, value in arguments.items())
    return f"<tool_call>{name}{''.join(pairs)}</tool_call><|observation|>"


def test_claude_code_edits_a_file(claude: Path, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    file = work / "greeting.txt"
    file.write_text("Hello, wrold!\n")
    edit = call("Edit", file_path=str(file), old_string="wrold", new_string="world")
    answers = recorded(
        tmp_path,
        {"raw": "I read it first.</think>" + call("Read", file_path=str(file)), "chunk_size": 5},
        {"raw": "A typo.</think>I correct it." + edit, "chunk_size": 5},
        {"raw": "</think>Corrected.<|user|>"},
    )
    with replayed(answers) as (url, _), socket.create_server(("127.0.0.1", 0)) as elsewhere:
        proxy = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "local",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
            "HTTP_PROXY": proxy,
            "HTTPS_PROXY": proxy,
            "NO_PROXY": "127.0.0.1",
        }
        words = ["-p", "Correct the typo in greeting.txt.", "--permission-mode", "acceptEdits"]
        done = subprocess.run(
            [claude, *words, "--output-format", "json"],
            cwd=work,
            env=env,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):  # it has called no other address
            elsewhere.accept()
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["is_error"], outcome["result"], outcome["num_turns"]) == (False, "Corrected.", 3)
    assert outcome["stop_reason"] == "end_turn"
    assert file.read_text() == "Hello, world!\n"
