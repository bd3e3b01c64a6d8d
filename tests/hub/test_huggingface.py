"""The commands against Hugging Face's stand-in, through the real client: its settings are read when it is imported."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from chatglm_server.errors import ModelFileError
from chatglm_server.hub.pull import local_path
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


_RUN = """
import contextlib, io, json, sys
from chatglm_server.cli.main import main
results, output, errors = [], io.StringIO(), io.StringIO()
for command in sys.argv[1:]:
    before = len(output.getvalue()), len(errors.getvalue())
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        status = main(command.split())
    results.append((status, output.getvalue()[before[0]:], errors.getvalue()[before[1]:]))
print(json.dumps(results))
"""


class Result(NamedTuple):
    """What a command returned and printed."""

    status: int
    stdout: str
    stderr: str


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

    def run(self, *commands: str, **environment: str) -> list[Result]:
        """Runs command lines, one after the other in one process."""
        output = self.python(_RUN, *commands, **environment)
        return [Result(*result) for result in json.loads(output)]

    def python(self, code: str, *words: str, **environment: str) -> str:
        """What `code` prints in this environment."""
        return subprocess.run(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            text=True,
            timeout=300,
            cwd=self.home,
            env=self.environment | environment,
            check=True,
        ).stdout


@pytest.fixture
def machine(hub: StandIn, tmp_path: Path) -> Machine:
    return Machine(hub, tmp_path)


def test_pull_list_rm(hub: StandIn, machine: Machine) -> None:
    """After a break in the middle. The file is then in the cache as the hub's own client would have put it there."""
    hub.faults.break_after = [20_000]
    pulled, again, wrong = machine.run(f"pull {NAME}", f"pull {NAME}", f"pull {NAME}:Q5_K_M")
    path = machine.cache / f"models--{REPOSITORY.replace('/', '--')}/snapshots/{COMMIT}/THUDM_GLM-4-9B-0414-Q4_K_M.gguf"
    assert (pulled.status, pulled.stderr) == (0, "")
    assert "Q4_K_M (50.0 kB), which fits into the" in pulled.stdout
    assert "licence of the model: MIT" in pulled.stdout
    assert pulled.stdout.splitlines()[-2:] == [str(path), f"serve it: chatglm-server --model {NAME}"]
    assert path.read_bytes() == Q4
    assert path.resolve().name == hashlib.sha256(Q4).hexdigest()
    assert hub.ranges() == ["bytes=0-", "bytes=20000-"]
    assert "is here already, with the right SHA-256" in again.stdout
    assert "it has BF16, Q4_K_M, Q8_0" in wrong.stderr

    found = machine.python(
        "import huggingface_hub as h\n"
        f"print(h.hf_hub_download({REPOSITORY!r}, {path.name!r}, local_files_only=True))\n"
        f"print(h.hf_hub_download({REPOSITORY!r}, {path.name!r}))\n"
        "info = h.scan_cache_dir()\n"
        "print(info.size_on_disk, len(info.warnings), *[repo.refs['main'].commit_hash for repo in info.repos])\n"
    )
    assert found.splitlines() == [str(path), str(path), f"{len(Q4)} 0 {COMMIT}"]
    assert len(hub.ranges()) == 2

    _, listed, several, first, last = machine.run(
        f"pull {NAME}:BF16", "list", f"rm {NAME}", f"rm hf:{REPOSITORY}:bf16", f"rm {NAME}"
    )
    assert [line.split()[:3] for line in listed.stdout.splitlines()[:3]] == [
        ["NAME", "SIZE", "NETWORK"],
        [f"{NAME}:Q4_K_M", "50.0", "kB"],
        [f"{NAME}:BF16", "0.9", "kB"],
    ]
    assert several.stderr.endswith("name one of glm-4-9b-0414:Q4_K_M, glm-4-9b-0414:BF16\n")
    assert first.stdout == f"{NAME}:BF16: deleted, 0.9 kB are free again\n"
    assert last.stdout == f"{NAME}:Q4_K_M: deleted, 50.0 kB are free again\n"
    assert list(machine.cache.glob("models--*")) == []


def test_a_part_of_a_file(hub: StandIn, machine: Machine) -> None:
    """It is shown, stays when another file of the repository is deleted, and can be deleted itself."""
    file = "THUDM_GLM-4-9B-0414-Q8_0.gguf"
    hub.faults.claimed_sizes = {file: 2 * len(FILES[file])}
    part = f"{NAME}:Q8_0"
    results = machine.run(f"pull {part}", f"pull {NAME}:Q4_K_M", f"rm {NAME}:Q4_K_M", "list", f"rm {part}", "list")
    assert [result.status for result in results] == [1, 0, 0, 0, 0, 0]
    expected = f"{part} 18.0 kB – Hugging Face: part, 50%; chatglm-server pull {part} goes on"
    assert " ".join(results[3].stdout.splitlines()[1].split()) == expected
    assert results[4].stdout == f"{part}: deleted, 9.0 kB are free again\n"
    assert results[5].stdout.startswith("No models here.")
    assert list(machine.cache.glob("models--*")) == []


def test_a_page_as_a_browser_shows_it(hub: StandIn, machine: Machine) -> None:
    page = f"https://huggingface.co/{REPOSITORY}"
    pulled, shown, served = machine.run(
        f"pull {page}/tree/main", f"rm {page}/blob/main/THUDM_GLM-4-9B-0414-Q4_K_M.gguf",
        "--model https://huggingface.co/glm/looked",
    )  # fmt: skip
    assert "Q4_K_M (50.0 kB), which fits into the" in pulled.stdout
    assert shown.stdout == f"{NAME}:Q4_K_M: deleted, 50.0 kB are free again\n"
    assert served.stderr == "error: hf:glm/looked: no such repository on Hugging Face; did you mean glm/locked?\n"


def test_wrong_bytes_and_a_token(hub: StandIn, machine: Machine) -> None:
    """No half or wrong file gets a name. Without a token, the error says how to get one."""
    hub.faults.damage = True
    damaged, locked, missing = machine.run(f"pull {NAME}", "pull hf:glm/locked", "pull hf:glm/looked")
    assert damaged.status == locked.status == missing.status == 1
    assert damaged.stderr.startswith("error: THUDM_GLM-4-9B-0414-Q4_K_M.gguf: damaged on its way: its SHA-256 is ")
    assert [path for path in machine.cache.rglob("*") if path.is_file()] == []
    what = f"accept the licence at {hub.url}/glm/locked and set HF_TOKEN"
    assert locked.stderr == f"error: hf:glm/locked: the hub wants to know who asks; {what}\n"
    assert missing.stderr == ("error: hf:glm/looked: no such repository on Hugging Face; did you mean glm/locked?\n")
    hub.faults.damage = False
    (refused,) = machine.run("pull hf:glm/locked", HF_TOKEN="hf_wrong")
    assert "refuses it to your token" in refused.stderr
    hub.requests.clear()
    assert [result.status for result in machine.run("pull hf:glm/locked", HF_TOKEN=TOKEN)] == [0]
    (fetched,) = (request for request in hub.requests if "/bytes/" in request.path)
    assert fetched.host.startswith("localhost:")
    assert "authorization" not in fetched.headers


def test_files_that_no_repository_has(hub: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    sound = {"rfilename": "a-Q4_K_M.gguf", "lfs": {"size": 10, "sha256": "0" * 64}}
    sizes: list[object] = ["10", None, 10**400]
    wrong = [sound | {"lfs": {"size": size, "sha256": "0" * 64}} for size in sizes]
    hub.raw_listing = {"sha": COMMIT, "siblings": [{}, 3, sound | {"rfilename": 3}, sound | {"lfs": 3}, *wrong]}
    with pytest.raises(ModelFileError, match="this repository has no GGUF file; "):
        local_path(f"{NAME}:Q4_K_M")


@pytest.mark.parametrize("answer", ["[]", "<html>", "[" * 100_000, '{"sha": "main", "siblings": []}'])
def test_answers_that_are_no_list(hub: StandIn, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    hub.raw_listing = answer
    with pytest.raises(ModelFileError, match="the hub's answer is no list of files"):
        local_path(NAME)


def test_a_folder_with_the_name_of_one_of_the_cache(machine: Machine, hub: StandIn) -> None:
    file = "snapshots/模型/GLM-Q8_0.gguf"
    hub.repositories[REPOSITORY].files = {file: gguf(100)}
    pulled, removed = machine.run(f"pull {NAME}:Q8_0", f"rm {NAME}")
    assert (pulled.status, pulled.stderr, removed.status) == (0, "", 0)
    assert pulled.stdout.splitlines()[-2].endswith(f"/snapshots/{COMMIT}/{file}")


def test_offline_and_without_a_hub(hub: StandIn, machine: Machine) -> None:
    served, listed, unknown = machine.run(f"--model {NAME}", "list", "--model glm-4-9b-0141", HF_HUB_OFFLINE="1")
    assert served.stderr.endswith("not in the cache, and HF_HUB_OFFLINE forbids to fetch it\n")
    assert listed.stdout.startswith("No models here. chatglm-server pull knows chatglm3-6b (4.1 GB), ")
    assert "did you mean glm-4-9b-0414 or" in unknown.stderr
    assert hub.requests == []
    hub.__exit__(None, None, None)
    (unreachable,) = machine.run(f"pull {NAME}")
    reason = "cannot be reached ([Errno 111] Connection refused); HF_ENDPOINT chooses a mirror"
    assert f"{hub.url} {reason}" in unreachable.stderr
    (token,) = machine.run(f"pull {NAME}", HF_TOKEN="hf_wröng")
    assert token.stderr.startswith("error: HF_TOKEN: a token has no blanks")
