"""The commands against Hugging Face's stand-in, through the real client: its settings are read when it is imported."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.stand_in import COMMIT, TOKEN, Repository, StandIn, gguf

ROOT = Path(__file__).parent.parent.parent
NAME = "glm-4-9b-0414"
REPOSITORY = "bartowski/THUDM_GLM-4-9B-0414-GGUF"
FILES = {
    "README.md": b"# a model",
    "THUDM_GLM-4-9B-0414-Q4_K_M.gguf": gguf(50_000),
    "THUDM_GLM-4-9B-0414-Q8_0.gguf": gguf(9000),
    "THUDM_GLM-4-9B-0414-bf16/THUDM_GLM-4-9B-0414-bf16-00001-of-00002.gguf": gguf(400),
    "THUDM_GLM-4-9B-0414-bf16/THUDM_GLM-4-9B-0414-bf16-00002-of-00002.gguf": gguf(500),
}
Q4 = FILES["THUDM_GLM-4-9B-0414-Q4_K_M.gguf"]


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with StandIn({REPOSITORY: Repository(FILES), "glm/locked": Repository(FILES, gated=True)}) as hub:
        yield hub


class Machine:
    """A home folder and an environment for commands."""

    def __init__(self, hub: StandIn, home: Path) -> None:
        self.home = home
        self.cache = home / ".cache" / "huggingface" / "hub"
        kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LANG") if name in os.environ}
        self.environment = kept | {
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join([str(ROOT), kept.get("PYTHONPATH", "")]),
            "HF_ENDPOINT": hub.url,
            "MODELSCOPE_ENDPOINT": hub.url,
            "OLLAMA_MODELS": str(home / "none"),
        }

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "chatglm_server", *words],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.home,
            env=self.environment | environment,
        )

    def python(self, code: str) -> str:
        """What `code` prints in this environment."""
        return subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=self.environment, check=True
        ).stdout


@pytest.fixture
def machine(hub: StandIn, tmp_path: Path) -> Machine:
    return Machine(hub, tmp_path)


def test_pull_list_rm(hub: StandIn, machine: Machine) -> None:
    """After a break in the middle. The file is then in the cache as the hub's own client would have put it there."""
    hub.faults.break_after = [20_000]
    result = machine.run("pull", NAME)
    path = machine.cache / f"models--{REPOSITORY.replace('/', '--')}/snapshots/{COMMIT}/THUDM_GLM-4-9B-0414-Q4_K_M.gguf"
    assert (result.returncode, result.stderr) == (0, "")
    assert "Q4_K_M (50.0 kB), which fits into the" in result.stdout
    assert "licence of the model: MIT" in result.stdout
    assert result.stdout.splitlines()[-2:] == [str(path), f"serve it: chatglm-server --model {NAME}"]
    assert path.read_bytes() == Q4
    assert path.resolve().name == hashlib.sha256(Q4).hexdigest()
    assert hub.ranges() == ["bytes=0-", "bytes=20000-"]
    found = machine.python(
        "import huggingface_hub as h\n"
        f"print(h.hf_hub_download({REPOSITORY!r}, {path.name!r}, local_files_only=True))\n"
        f"print(h.hf_hub_download({REPOSITORY!r}, {path.name!r}))\n"
        "info = h.scan_cache_dir()\n"
        "print(info.size_on_disk, len(info.warnings), info.repos and list(info.repos)[0].refs['main'].commit_hash)\n"
    )
    assert found.splitlines() == [str(path), str(path), f"{len(Q4)} 0 {COMMIT}"]
    assert len(hub.ranges()) == 2

    assert "is here already, with the right SHA-256" in machine.run("pull", NAME).stdout
    machine.run("pull", f"{NAME}:BF16")
    lines = machine.run("list", HF_HUB_OFFLINE="1").stdout.splitlines()
    assert [line.split()[:3] for line in lines[:3]] == [
        ["NAME", "SIZE", "NETWORK"],
        [f"{NAME}:Q4_K_M", "50.0", "kB"],
        [f"{NAME}:BF16", "0.9", "kB"],
    ]

    assert "name one of glm-4-9b-0414:Q4_K_M, glm-4-9b-0414:BF16" in machine.run("rm", NAME).stderr
    assert machine.run("rm", f"hf:{REPOSITORY}:bf16").returncode == 0
    assert machine.run("rm", NAME).stdout == f"{NAME}:Q4_K_M: deleted, 50.0 kB are free again\n"
    assert list(machine.cache.glob("models--*")) == []


def test_wrong_bytes(hub: StandIn, machine: Machine) -> None:
    hub.faults.damage = True
    result = machine.run("pull", NAME)
    assert result.returncode == 1
    assert result.stderr.startswith("error: THUDM_GLM-4-9B-0414-Q4_K_M.gguf: damaged on its way: its SHA-256 is ")
    assert "Traceback" not in result.stderr
    assert [path for path in machine.cache.rglob("*") if path.is_file()] == []
    hub.faults.damage = False
    assert machine.run("pull", NAME).returncode == 0


def test_a_repository_that_wants_a_token(hub: StandIn, machine: Machine) -> None:
    error = machine.run("pull", "hf:glm/locked").stderr
    page = f"{hub.url}/glm/locked"
    assert (
        error
        == f"error: hf:glm/locked: the hub wants to know who asks; accept the licence at {page} and set HF_TOKEN\n"
    )
    assert "refuses it to your token" in machine.run("pull", "hf:glm/locked", HF_TOKEN="hf_wrong").stderr
    hub.requests.clear()
    assert machine.run("pull", "hf:glm/locked", HF_TOKEN=TOKEN).returncode == 0
    (fetched,) = (request for request in hub.requests if "/bytes/" in request.path)
    assert fetched.host.startswith("localhost:")
    assert "authorization" not in fetched.headers


def test_names_that_are_not_there(hub: StandIn, machine: Machine) -> None:
    missing = machine.run("pull", "hf:glm/looked").stderr
    assert missing == "error: hf:glm/looked: no such repository on Hugging Face; did you mean glm/locked?\n"
    assert "it has BF16, Q4_K_M, Q8_0" in machine.run("pull", f"{NAME}:Q5_K_M").stderr
    assert "did you mean glm-4-9b-0414 or" in machine.run("--model", "glm-4-9b-0141").stderr


def test_offline_and_without_a_hub(hub: StandIn, machine: Machine) -> None:
    offline = machine.run("--model", NAME, HF_HUB_OFFLINE="1")
    assert offline.stderr.endswith("not in the cache, and HF_HUB_OFFLINE forbids to fetch it\n")
    assert hub.requests == []
    hub.__exit__(None, None, None)
    assert "cannot be reached" in machine.run("pull", NAME).stderr
