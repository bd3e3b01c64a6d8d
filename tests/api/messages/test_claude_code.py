"""Claude Code itself, from npm, before recorded answers: it reads a file, edits it, and says so."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.agents import call, installed, no_other_address
from tests.api.messages.test_messages_stream import recorded, replayed


@pytest.fixture(scope="session")
def claude() -> Path:
    return installed("claude_code", "claude")


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
    with replayed(answers) as (url, _), no_other_address(home) as env:
        own = {
            "ANTHROPIC_BASE_URL": url,
            "ANTHROPIC_API_KEY": "local",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_TELEMETRY": "1",
        }
        words = ["-p", "Correct the typo in greeting.txt.", "--permission-mode", "acceptEdits"]
        done = subprocess.run(
            [claude, *words, "--output-format", "json"],
            cwd=work,
            env=env | own,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    outcome = json.loads(done.stdout)
    assert (outcome["is_error"], outcome["result"], outcome["num_turns"]) == (False, "Corrected.", 3)
    assert outcome["stop_reason"] == "end_turn"
    assert file.read_text() == "Hello, world!\n"
