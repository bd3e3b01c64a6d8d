"""Real agents from npm: installed, told what to call, and watched, so that they call no address but the server's."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def installed(client: str, program: str) -> Path:
    """The program of `tests/clients/CLIENT`, installed beside its package.json unless it is there: 180 to 420 MB."""
    folder = Path(__file__).parent / "clients" / client
    path = folder / "node_modules" / ".bin" / program
    if not path.exists():
        # As its lock file says. `npm ci` refuses opencode's, which has the packages of one platform only.
        words = ["npm", "install", "--no-save", "--no-audit", "--no-fund"]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            pytest.skip(f"npm cannot install {program} here: {done.stderr[-500:]}")
    return path


def call(name: str, **arguments: str) -> str:
    """A call as GLM-4.7 writes it."""
    pairs = (f"<arg_key>{key}</arg_key><arg_value>{value}</arg_value>" for key, value in arguments.items())
    return f"<tool_call>{name}{''.join(pairs)}</tool_call><|observation|>"


@contextmanager
def no_other_address(home: Path) -> Iterator[dict[str, str]]:
    """The environment of a program that lives in `home`. What it asks of other addresses goes to a proxy; none may."""
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        proxy = f"http://127.0.0.1:{elsewhere.getsockname()[1]}"
        proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), proxy)
        yield {"PATH": os.environ["PATH"], "HOME": str(home), "NO_PROXY": "127.0.0.1"} | proxies
        elsewhere.setblocking(False)
        with pytest.raises(BlockingIOError):
            elsewhere.accept()
