"""A user without a home folder, as containers may have one."""

from __future__ import annotations

from pathlib import Path

import pytest
from prompt_toolkit.history import InMemoryHistory

from chatglm_server.cli.chat.history import typed_lines
from chatglm_server.cli.main import main
from chatglm_server.loader import load_engine
from chatglm_server.settings import Settings


@pytest.fixture(autouse=True)
def no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def unknown(user: int) -> None:
        raise KeyError(user)

    for name in ("HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)


def test_a_server_keeps_no_prompts_on_disk() -> None:
    assert load_engine(Settings(_env_file=None)).info.id == "demo"


def test_a_chat_keeps_no_history() -> None:
    assert isinstance(typed_lines(), InMemoryHistory)


@pytest.mark.parametrize("words", [["pull", "http://127.0.0.1:9/a.gguf"], ["cache"]])
def test_what_needs_a_folder_says_how_to_choose_one(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 1
    assert capsys.readouterr().err == "error: this user has no home folder: set XDG_CACHE_HOME\n"


def test_models_are_listed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "a.gguf").write_bytes(b"GGUF")
    assert main(["list"]) == 0
    assert "this folder: models/a.gguf" in capsys.readouterr().out
