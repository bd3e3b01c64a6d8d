"""The container: the Dockerfile's steps give a server that answers, and compose.yaml and the unit are valid."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import yaml

from tests.dockerfile import built

ROOT = Path(__file__).parent.parent
_KEY = "a key"
_START_S = 120


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount and to change the root folder")
def test_steps_of_the_dockerfile(tmp_path: Path) -> None:
    """It builds, turns down a start without a key, gets healthy, and answers as another user than root."""
    with built(ROOT / "Dockerfile", tmp_path) as image:
        refused = subprocess.run(image.inside(image.entrypoint), capture_output=True, text=True, timeout=60)
        assert refused.returncode == 2
        assert "CHATGLM_API_KEY" in refused.stderr

        image.environment["CHATGLM_API_KEY"] = _KEY
        port = free_port()
        health = [word.replace("8000", port) for word in image.health]
        server = subprocess.Popen(image.inside([*image.entrypoint, "--port", port]), text=True)
        try:
            deadline = time.monotonic() + _START_S
            while subprocess.run(image.inside(health), capture_output=True).returncode != 0:
                assert server.poll() is None
                assert time.monotonic() < deadline
            body = {"messages": [{"role": "user", "content": "Who are you?"}], "temperature": 0}
            answer = httpx.post(
                f"http://127.0.0.1:{port}/v1/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {_KEY}"},
                timeout=60,
            )
            assert answer.json()["choices"][0]["message"]["content"].startswith("I am a small demonstration model")
            owner = Path(f"/proc/{server.pid}").stat().st_uid
        finally:
            server.terminate()
            server.wait(60)
    assert owner != 0


def free_port() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return str(taken.getsockname()[1])


def test_compose_file() -> None:
    """By the schema of compose files that check-jsonschema ships; the health that Open WebUI waits for is checked."""
    path = ROOT / "compose.yaml"
    words = ["--builtin-schema", "vendor.compose-spec", str(path)]
    result = subprocess.run([sys.executable, "-m", "check_jsonschema", *words], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
    services = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    assert services["open-webui"]["depends_on"]["chatglm-server"]["condition"] == "service_healthy"
    assert "HEALTHCHECK" in (ROOT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform != "linux", reason="systemd runs on Linux only")
def test_unit_of_systemd(tmp_path: Path) -> None:
    """By systemd's own check. The program that the unit starts is in a home of its own."""
    program = tmp_path / ".local" / "share" / "chatglm-server" / "bin" / "chatglm-server"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(ROOT / "contrib" / "chatglm-server.service")],
        capture_output=True,
        text=True,
        env=os.environ | {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    assert (result.returncode, result.stderr) == (0, "")
