"""The real opencode, without a person: it reads a file, edits it and finishes, as recorded answers tell it to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.agents import call, installed, no_other_address
from tests.api.messages.test_messages_stream import recorded, replayed

OFFLINE = {"OPENCODE_DISABLE_MODELS_FETCH": "1", "npm_config_offline": "true"}
"""Without these it asks for a list of models, and for its own plugin at npm."""


@pytest.fixture(scope="session")
def opencode() -> Path:
    return installed("opencode", "opencode")


def test_opencode_edits_a_file(opencode: Path, tmp_path: Path) -> None:
    home, work = tmp_path / "home", tmp_path / "work"
    home.mkdir()
    work.mkdir()
    file = work / "greeting.txt"
    file.write_text("Hello, wrold!\n")
    edit = call("edit", filePath=str(file), oldString="wrold", newString="world")
    answers = recorded(
        tmp_path,
        {"raw": "I read it first.</think>" + call("read", filePath=str(file)), "chunk_size": 5},
        {"raw": "A typo.</think>I correct it." + edit, "chunk_size": 5},
        {"raw": "</think>Corrected.<|user|>"},
    )
    with replayed(answers) as (url, _), no_other_address(home) as env:
        provider = {
            "npm": "@ai-sdk/openai-compatible",
            "options": {"baseURL": f"{url}/v1", "apiKey": "none"},
            "models": {"recorded": {"limit": {"context": 200_000, "output": 8_000}}},
        }
        (work / "opencode.json").write_text(
            json.dumps({"provider": {"local": provider}, "model": "local/recorded", "small_model": "local/recorded"})
        )
        # A title, or it asks for one beside the first question.
        words = ["run", "--format", "json", "--title", "A typo", "Correct the typo in greeting.txt."]
        done = subprocess.run(
            [opencode, *words],
            cwd=work,
            env=env | OFFLINE,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.read_text() == "Hello, world!\n"
    events = [json.loads(line) for line in done.stdout.splitlines()]
    parts = [event["part"] for event in events]
    assert [part["text"] for part in parts if part["type"] == "text"] == ["I correct it.", "Corrected."]
    assert [part["state"]["status"] for part in parts if part["type"] == "tool"] == ["completed", "completed"]
    finishes = [part for part in parts if part["type"] == "step-finish"]
    assert [part["reason"] for part in finishes] == ["tool-calls", "tool-calls", "stop"]
    assert all(part["tokens"]["input"] > 0 for part in finishes)
