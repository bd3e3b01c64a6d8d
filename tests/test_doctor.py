"""``chatglm-server doctor``: what it says of this machine, and of one where much is wrong."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import chatglm_native
import psutil
import pytest

from chatglm_server.cli.main import main
from chatglm_server.decoding.backends.cpus import usable_cpus
from chatglm_server.hub.catalog import CATALOG

ROOT = Path(__file__).parent.parent
OURS = ("CHATGLM_", "OPENAI_", "PORT", "ENABLE_THINK_FILTER", "MODEL", "NUM_THREADS")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def doctor(folder: Path, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in an empty folder, with `env` beside what is no setting of this server or a proxy."""
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(OURS) and name.lower() not in PROXIES
    }
    env = {"PYTHONPATH": str(ROOT), "CHATGLM_PORT": "0", "HF_HUB_CACHE": str(folder)} | env
    command = [sys.executable, "-m", "chatglm_server", "doctor", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=inherited | env, cwd=folder)


def checks(report: dict[str, Any]) -> dict[str, dict[str, str]]:
    return {check["check"]: check for check in report["checks"]}


def test_this_machine(tmp_path: Path) -> None:
    result = doctor(tmp_path, "--json")
    report = json.loads(result.stdout)
    assert (result.returncode, report["works"], result.stderr) == (0, True, "")
    states = {name: check["state"] for name, check in checks(report).items()}
    assert "problem" not in states.values()
    assert states["settings"] == states["proxies"] == states["port"] == states["chatglm-cpp"] == states["model"] == "ok"
    assert chatglm_native.kernels()[0] in checks(report)["core"]["found"]
    assert f"{psutil.virtual_memory().total / 1e9:.2f} GB" in checks(report)["memory"]["found"] or (
        "limit of this container" in checks(report)["memory"]["found"]
    )
    machine = report["machine"]
    assert (machine["kernels"], machine["threads"]) == (chatglm_native.kernels()[0], usable_cpus())
    models = {model["name"]: model for model in report["models"]}
    assert models.keys() == CATALOG.keys()
    flash, dense = models["glm-4.7-flash"], models["glm-4-32b-0414"]
    assert machine["read"] / flash["answers"] == pytest.approx(2.2e9, rel=0.02)  # bytes that a token reads
    assert flash["answers"] > 5 * dense["answers"]
    assert machine["computed"] / dense["prompts"] == pytest.approx(31.6e9, rel=0.01)


def test_a_machine_where_much_is_wrong(tmp_path: Path) -> None:
    packages = tmp_path / "packages" / "chatglm_cpp-0.3.0.dist-info"
    packages.mkdir(parents=True)
    (packages / "METADATA").write_text("Metadata-Version: 2.1\nName: chatglm-cpp\nVersion: 0.3.0\n")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF and nothing more")
    (tmp_path / ".env").write_text("NUM_THREADS=1\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = doctor(
            tmp_path,
            "--json",
            CHATGLM_PORT=str(port),
            CHATGLM_MODEL="broken.gguf",
            HF_HUB_CACHE=str(tmp_path / "broken.gguf" / "hub"),
            HTTP_PROXY="http://user:secret@proxy.example:3128",
            PYTHONPATH=os.pathsep.join((str(packages.parent), str(ROOT))),
        )
    report = json.loads(result.stdout)
    found = checks(report)
    assert (result.returncode, report["works"]) == (1, False)
    assert "secret" not in result.stdout
    assert {name for name, check in found.items() if check["state"] == "problem"} == {"port", "models", "model"}
    assert f"listens on port {port}" in found["port"]["found"]
    assert "try --port" in found["port"]["advice"]
    assert "broken.gguf is not a folder" in found["models"]["found"]
    assert found["models"]["advice"].endswith("HF_HUB_CACHE")
    assert found["proxies"]["state"] == found["chatglm-cpp"]["state"] == found["settings"]["state"] == "warning"
    assert found["proxies"]["advice"] == "export NO_PROXY=127.0.0.1,localhost"
    assert "0.3.0" in found["chatglm-cpp"]["found"]
    assert "NUM_THREADS" in found["settings"]["advice"]
    assert report["machine"]["threads"] == 1


def test_wrong_settings_are_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHATGLM_PORT", "many")
    monkeypatch.setenv("ALL_PROXY", "socks4://proxy.example")
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("PROBLEM  settings     CHATGLM_PORT: ") for line in lines)
    assert any(line.startswith("PROBLEM  proxies      ") for line in lines)
    header = next(line for line in lines if line.startswith("MODEL "))
    assert header.split() == ["MODEL", "FILE", "FITS", "ANSWERS", "PROMPTS"]
    assert all(any(line.startswith(f"{name} ") for line in lines) for name in CATALOG)
    assert lines[-1].startswith(("2 problems", "3 problems"))  # port 8000 may be in use
