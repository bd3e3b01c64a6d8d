"""One file over a real socket: breaks, wrong bytes, servers without ranges, full disks, Ctrl-C."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.transfer import Download, fetch
from tests.hub.stand_in import Repository, StandIn, gguf

CONTENT = gguf(300_000)


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with StandIn({"glm/small": Repository({"a.gguf": CONTENT})}) as hub:
        yield hub


def download(hub: StandIn, folder: Path, sha256: str = "", size: int = len(CONTENT)) -> Download:
    sha256 = sha256 or hashlib.sha256(CONTENT).hexdigest()
    return Download("a.gguf", f"{hub.url}/bytes/glm/small/a.gguf", folder / "x" / "a.gguf", size, sha256)


def partial(folder: Path) -> Path:
    return folder / "x" / "a.gguf.incomplete"


def test_a_file_arrives_whole(hub: StandIn, tmp_path: Path) -> None:
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["a.gguf"]


def test_goes_on_after_breaks_in_the_middle(hub: StandIn, tmp_path: Path) -> None:
    hub.faults.break_after = [100_000, 0, 50_000]
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT
    assert hub.ranges() == ["bytes=0-", "bytes=100000-", "bytes=100000-", "bytes=150000-"]


def test_waits_for_a_busy_server(hub: StandIn, tmp_path: Path) -> None:
    hub.faults.statuses = [503, 429]
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT


def test_gives_up_and_a_later_run_goes_on(hub: StandIn, tmp_path: Path) -> None:
    hub.faults.break_after = [1000, *[0] * 10]
    with pytest.raises(ModelFileError, match="the same command goes on from there"):
        fetch(download(hub, tmp_path))
    assert partial(tmp_path).read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "x" / "a.gguf").exists()
    hub.faults.break_after = []
    hub.requests.clear()
    fetch(download(hub, tmp_path))
    assert hub.ranges() == ["bytes=1000-"]
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT
    assert not partial(tmp_path).exists()


def test_a_whole_file_that_only_lacked_its_name(hub: StandIn, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_bytes(CONTENT)
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT
    assert hub.requests == []


def test_a_server_without_ranges_begins_again(hub: StandIn, tmp_path: Path) -> None:
    hub.faults.ignore_ranges = True
    hub.faults.break_after = [70_000]
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("begin", [gguf(1000, seed=1), gguf(400_000, seed=1)])
def test_wrong_bytes_get_no_name(hub: StandIn, tmp_path: Path, begin: bytes) -> None:
    """Also where they are an earlier run's: of another version of the file, or more than it has."""
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_bytes(begin)
    hub.faults.damage = len(begin) > len(CONTENT)
    with pytest.raises(ModelFileError, match="SHA-256"):
        fetch(download(hub, tmp_path))
    assert list((tmp_path / "x").iterdir()) == []
    hub.faults.damage = False
    fetch(download(hub, tmp_path))
    assert (tmp_path / "x" / "a.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("size", [1000, len(CONTENT) + 1])
def test_another_size_than_announced(hub: StandIn, tmp_path: Path, size: int) -> None:
    with pytest.raises(ModelFileError):
        fetch(download(hub, tmp_path, size=size))
    assert not (tmp_path / "x" / "a.gguf").exists()


def test_a_disk_that_is_too_small(hub: StandIn, tmp_path: Path) -> None:
    size = shutil.disk_usage(tmp_path).total * 2
    with pytest.raises(ModelFileError, match=r"needs [\d.]+ GB of disk, and .* GB left"):
        fetch(download(hub, tmp_path, size=size))
    assert hub.requests == []
    assert list((tmp_path / "x").iterdir()) == []


def test_a_folder_that_cannot_be_made(hub: StandIn, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("a file")
    with pytest.raises(ModelFileError, match="File exists"):
        fetch(download(hub, tmp_path))


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_server_that_refuses(hub: StandIn, tmp_path: Path, status: int) -> None:
    hub.faults.statuses = [status] * 10
    with pytest.raises(ModelFileError, match=str(status)):
        fetch(download(hub, tmp_path))
    assert list((tmp_path / "x").iterdir()) == []


def test_a_host_that_is_not_there(tmp_path: Path, hub: StandIn) -> None:
    job = download(hub, tmp_path)
    hub.__exit__(None, None, None)
    with pytest.raises(ModelFileError, match="the same command"):
        fetch(job)


def test_two_programs_do_not_write_one_file(hub: StandIn, tmp_path: Path) -> None:
    partial(tmp_path).parent.mkdir()
    with partial(tmp_path).open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ModelFileError, match="another program is fetching it"):
            fetch(download(hub, tmp_path))
        assert partial(tmp_path).exists()  # it is the other's, even before its first byte is there


def test_another_program_writes_into_the_file(hub: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One without our lock: the Hugging Face client appends to a file of the same name."""
    monkeypatch.setattr("time.sleep", lambda _: partial(tmp_path).open("ab").write(b"x"))
    hub.faults.break_after = [100_000]
    with pytest.raises(ModelFileError, match="another program wrote into it"):
        fetch(download(hub, tmp_path))
    assert list((tmp_path / "x").iterdir()) == []


def test_what_is_there_needs_no_more_disk(hub: StandIn, tmp_path: Path) -> None:
    job = download(hub, tmp_path)
    assert job.missing == len(CONTENT)
    partial(tmp_path).parent.mkdir()
    partial(tmp_path).write_bytes(CONTENT[:1000])
    assert job.missing == len(CONTENT) - 1000
    fetch(job)
    assert job.missing == 0


def test_ctrl_c_keeps_what_came(hub: StandIn, tmp_path: Path) -> None:
    """A process of its own is stopped while it waits for the server; the next one goes on."""
    hub.faults.break_after = [120_000]
    script = (
        "import signal, sys; from pathlib import Path; from chatglm_server.hub import transfer\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's background jobs ignore it
        "transfer._FIRST_PAUSE_S = 30\n"
        "try: transfer.fetch(transfer.Download('a.gguf', sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])))\n"
        "except transfer.DownloadStopped as error: print(error)\n"
    )
    job = download(hub, tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", script, job.url, str(job.target), str(job.size)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent.parent,  # which has the package
    )
    while not hub.requests or not partial(tmp_path).exists() or partial(tmp_path).stat().st_size < 120_000:
        time.sleep(0.01)
        assert process.poll() is None
    output = ""
    while process.poll() is None:  # Python swallows a signal that comes while it deletes an object
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            output = process.communicate(timeout=10)[0]
    assert "stopped at 0.1 MB of 0.3 MB; the same command goes on from there" in output
    hub.requests.clear()
    fetch(job)
    assert hub.ranges() == ["bytes=120000-"]
    assert job.target.read_bytes() == CONTENT
