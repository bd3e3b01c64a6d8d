"""The real Codex, without a person: it reads a file, edits it and finishes, as recorded answers tell it to."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from chatglm_server.settings import Settings
from tests.agents import installed, no_other_address
from tests.serving_here import serving

CONFIG = """
model = "glm"
model_provider = "local"
web_search = "disabled"

[model_providers.local]
name = "local"
base_url = "{url}/v1"
wire_api = "responses"
env_key = "LOCAL_KEY"

[analytics]
enabled = false

[features]
apps = false
plugins = false
"""
"""Without the last two it asks github.com and chatgpt.com for lists."""
CATALOG = {
    "slug": "glm",
    "display_name": "GLM",
    "base_instructions": "You edit files.",
    "shell_type": "unified_exec",
    "apply_patch_tool_type": "freeform",
    "context_window": 32768,
    "truncation_policy": {"mode": "tokens", "limit": 10000},
    "supported_reasoning_levels": [],
    "support_verbosity": False,
    "experimental_supported_tools": [],
    "supported_in_api": True,
    "visibility": "list",
    "priority": 1,
}
"""A model that edits files by a custom tool with a grammar."""
COMMAND = "<tool_call>exec_command<arg_key>cmd</arg_key><arg_value>{}</arg_value></tool_call><|observation|>"


@pytest.fixture(scope="session")
def codex() -> Path:
    return installed("codex", "codex")


def run(codex: Path, url: str, folder: Path, question: str, settings: str = "") -> subprocess.CompletedProcess[str]:
    """One answer of Codex in `folder`. It calls no address but `url`."""
    home = folder / ".home"
    home.mkdir()
    (home / "config.toml").write_text(settings + CONFIG.format(url=url))
    with no_other_address(home) as env:
        words = [str(codex), "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", question]
        return subprocess.run(
            words,
            cwd=folder,
            env=env | {"CODEX_HOME": str(home), "LOCAL_KEY": "none"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


def test_codex_edits_a_file(codex: Path, tmp_path: Path) -> None:
    answers = (
        f"I read the file first.</think>{COMMAND.format('cat notes.txt')}",
        f"Now the edit.</think>I replace the word.{COMMAND.format('sed -i s/old/new/ notes.txt && cat notes.txt')}",
        "That worked.</think>The note is new.<|user|>",
    )
    lines = [
        json.dumps({"format": "glm47", "prompt_ends_in_think": True, "chunk_size": 7, "raw": raw}) for raw in answers
    ]
    recordings, folder = tmp_path / "glm.jsonl", tmp_path / "work"
    recordings.write_text("\n".join(lines))
    folder.mkdir()
    (folder / "notes.txt").write_text("an old note\n")
    with serving(Settings(_env_file=None, model=f"replay:{recordings}")) as (url, _):
        done = run(codex, url, folder, "Replace old by new in notes.txt")
    assert done.returncode == 0, done.stderr
    assert (folder / "notes.txt").read_text() == "an new note\n"
    assert done.stdout.strip() == "The note is new."
    for seen in ("I read the file first.", "an old note", "I replace the word.", "an new note", "That worked."):
        assert seen in done.stderr, "Codex shows thoughts, texts and results"


def test_codex_edits_a_file_by_a_patch(codex: Path, tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** Update File: notes.txt\n@@\n-an old note\n+a new note\n*** End Patch"
    call = f"<tool_call>apply_patch<arg_key>input</arg_key><arg_value>{patch}</arg_value></tool_call><|observation|>"
    lines = [
        json.dumps({"format": "glm47", "prompt_ends_in_think": True, "chunk_size": 7, "raw": raw})
        for raw in (f"I edit it.</think>{call}", "That worked.</think>The note is new.<|user|>")
    ]
    recordings, catalog, folder = tmp_path / "glm.jsonl", tmp_path / "models.json", tmp_path / "work"
    recordings.write_text("\n".join(lines))
    catalog.write_text(json.dumps({"models": [CATALOG]}))
    folder.mkdir()
    (folder / "notes.txt").write_text("an old note\n")
    with serving(Settings(_env_file=None, model=f"replay:{recordings}")) as (url, _):
        settings = f'model_catalog_json = "{catalog}"\n'
        done = run(codex, url, folder, "Replace old by new in notes.txt", settings)
    assert done.returncode == 0, done.stderr
    assert (folder / "notes.txt").read_text() == "a new note\n"
    assert done.stdout.strip() == "The note is new."


def test_codex_understands_a_full_context(codex: Path, tmp_path: Path) -> None:
    recordings, folder = tmp_path / "glm.jsonl", tmp_path / "work"
    recordings.write_text('{"raw": "Hm.", "format": "glm47"}')
    folder.mkdir()
    with serving(Settings(_env_file=None, model=f"replay:{recordings}", context_length=1000)) as (url, _):
        done = run(codex, url, folder, "Hello!")
    assert done.returncode != 0
    assert "ran out of room in the model's context window" in done.stderr
