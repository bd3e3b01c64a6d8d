"""Open WebUI from PyPI: installed in an environment of its own, set up as docs/clients.md says, and started."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.agents import no_other_address

ROOT = Path(__file__).parent.parent
REQUIREMENTS = ROOT / "tests" / "clients" / "open_webui" / "requirements.txt"
_ENVIRONMENT = REQUIREMENTS.parent / ".venv"
_START_S = 300
_ALONE = {
    "WEBUI_AUTH": "false",  # no sign-in
    "OFFLINE_MODE": "true",  # it looks for no newer version, and for no model at the hubs
    "RAG_EMBEDDING_ENGINE": "openai",  # otherwise it fetches a model for documents
}


def installed() -> Path:
    """The program, installed as requirements.txt says unless it is there: 2.4 GB.

    uv takes a seventh of pip's time for the 200 packages. pip installs PyTorch, because only pip's settings say where a
    build for the CPU is.

    Raises:
        CalledProcessError: It cannot be installed.
    """
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    done = _ENVIRONMENT / "installed"
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(_ENVIRONMENT)], check=True)
        python = str(_ENVIRONMENT / "bin" / "python")
        [pytorch] = re.findall("^torch==.*$", wanted, re.MULTILINE)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "uv", pytorch], check=True)
        uv = [python, "-m", "uv", "pip", "install", "--quiet", "--python", python]
        subprocess.run([*uv, "-r", str(REQUIREMENTS)], check=True)
        done.write_text(wanted, encoding="utf-8")
    return _ENVIRONMENT / "bin" / "open-webui"


def recipe() -> dict[str, str]:
    """The variables that docs/clients.md has people export for Open WebUI."""
    page = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
    match = re.search(r"^## Open WebUI\n.*?^```sh\n(.*?)^open-webui serve\n```$", page, re.MULTILINE | re.DOTALL)
    assert match
    words = [word for word in shlex.split(match[1]) if word != "export"]
    return dict(word.split("=", 1) for word in words)


@contextmanager
def serving(home: Path, variables: dict[str, str]) -> Iterator[str]:
    """The address of Open WebUI, which lives in `home` and has `variables` besides or in place of the recipe's."""
    program, port = str(installed()), _free_port()
    url = f"http://127.0.0.1:{port}"
    with no_other_address(home) as environment, (home / "log").open("w", encoding="utf-8") as log:
        environment |= {"DATA_DIR": str(home / "data"), "WEBUI_SECRET_KEY": "a secret"} | _ALONE | recipe() | variables
        words = [program, "serve", "--host", "127.0.0.1", "--port", port]
        server = subprocess.Popen(words, cwd=home, env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + _START_S
            while not _is_up(url):
                assert server.poll() is None and time.monotonic() < deadline, (home / "log").read_text(encoding="utf-8")
                time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(60)


def _free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return str(taken.getsockname()[1])


def _is_up(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health").is_success
    except httpx.TransportError:
        return False
