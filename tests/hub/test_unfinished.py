"""Downloads that stopped: shown with how much is here, gone on with, deleted with all their parts."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatglm_server.cli.main import main
from tests.hub.stand_in import Repository, StandIn, gguf

FILES = {
    "GLM-Q4_0.gguf": gguf(50_000),
    "GLM-Q8_0-00001-of-00002.gguf": gguf(30_000, seed=1),
    "GLM-Q8_0-00002-of-00002.gguf": gguf(10_000, seed=2),
}
BREAKS = [0] * 9


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn({"glm/some": Repository(FILES)}) as hub:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.url)
        yield hub


def rows(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What `list` prints of the models."""
    capsys.readouterr()
    assert main(["list"]) == 0
    shown = capsys.readouterr().out.partition("chatglm-server pull knows")[0]
    return [" ".join(line.split()) for line in shown.splitlines()[1:] if line]


def test_shown_and_gone_on_with(hub: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults.break_after = [20_000, *BREAKS]
    assert main(["pull", "ms:glm/some:Q4_0"]) == 1
    name = "ms:glm/some:Q4_0"
    assert rows(capsys) == [f"{name} 50.0 kB – ModelScope: part, 40%; chatglm-server pull {name} goes on"]
    hub.faults.break_after = []
    assert main(["pull", name]) == 0
    (row,) = rows(capsys)
    assert row.startswith(f"{name} 50.0 kB – ModelScope: ~/modelscope/")


def test_a_split_model_is_deleted_with_the_parts_that_are_whole(
    hub: StandIn, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.faults.break_after = [30_000, 6_000, *BREAKS]
    assert main(["pull", "ms:glm/some:q8_0"]) == 1
    (row,) = rows(capsys)
    assert "part, 90%; chatglm-server pull ms:glm/some:Q8_0 goes on" in row
    assert main(["rm", "ms:glm/some"]) == 0
    assert capsys.readouterr().out == "ms:glm/some:Q8_0: deleted, 36.0 kB are free again\n"
    assert [path for path in home.glob("modelscope/**/*") if path.is_file()] == []
    assert rows(capsys) == []


def test_an_address(hub: StandIn, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = f"{hub.url}/bytes/glm/some/GLM-Q4_0.gguf"
    hub.faults.break_after = [4, 10_000, *BREAKS]
    assert main(["pull", url]) == 1
    assert rows(capsys) == [f"{url} 50.0 kB – address: part, 20%; chatglm-server pull {url} goes on"]
    assert main(["rm", url]) == 0
    assert [path for path in home.glob("cache/chatglm-server/models/**/*") if path.is_file()] == []


def test_one_that_is_being_fetched_is_not_deleted(hub: StandIn, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.faults.break_after = [20_000, *BREAKS]
    assert main(["pull", "ms:glm/some:Q4_0"]) == 1
    (partial,) = home.glob("modelscope/**/*.incomplete")
    capsys.readouterr()
    with partial.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert main(["rm", "ms:glm/some:Q4_0"]) == 1
    assert capsys.readouterr().err == "error: ms:glm/some:Q4_0: another program is fetching it right now\n"
    assert partial.exists()


def test_notes_that_say_nothing(hub: StandIn, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Broken ones, and those of downloads whose bytes are gone."""
    hub.faults.break_after = [20_000, *BREAKS]
    assert main(["pull", "ms:glm/some:Q4_0"]) == 1
    notes = home / "cache" / "chatglm-server" / "downloads"
    (note,) = notes.glob("*.json")
    (notes / "a.json").write_bytes(b"{")
    (notes / "b.json").write_bytes(note.read_bytes().replace(b"50000", b"0"))
    (notes / "c.json").write_bytes(b'"' + b"x" * (1 << 20) + b'"')
    assert len(rows(capsys)) == 1
    (partial,) = home.glob("modelscope/**/*.incomplete")
    partial.unlink()
    assert rows(capsys) == []
