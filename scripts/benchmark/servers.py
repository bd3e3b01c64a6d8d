"""Servers to send requests to: started and stopped here, or running already."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import httpx

ROOT = Path(__file__).resolve().parent.parent.parent
_START_S = 600
_URL = re.compile(rb"API\s+(http://\S+)/v1")
_READY = re.compile(rb"[\r\n]ready")  # a progress bar ends without a line break


class ServerFailed(Exception):
    """A server cannot be used; the message is one line."""


@dataclass(frozen=True)
class Server:
    """A server that answers. `extra` is added to the body of every request.

    `start_s` is the time from the start of its process to its first answer, of one token; None if it ran already.
    """

    name: str
    url: str
    model: str
    extra: Mapping[str, Any]
    start_s: float | None = None


@contextmanager
def ours(options: Sequence[str], extra: Mapping[str, Any], module: str = "chatglm_server") -> Iterator[Server]:
    """``python -m chatglm_server`` with options, or another `module` that takes them. Raises: ServerFailed."""
    command = [sys.executable, "-m", module, "--port", "0", *options]
    started = time.perf_counter()
    with _running(command) as (process, log):

        def url() -> str:
            log.seek(0)
            found = _URL.search(text := log.read())
            return found[1].decode() if found and _READY.search(text) else ""

        yield _first_answer(connect("chatglm-server", _wait(process, log, url), extra), started)


@contextmanager
def llama_cpp(gguf: Path, context: int, threads: int, extra: Mapping[str, Any]) -> Iterator[Server]:
    """llama-cpp-python's own server. Raises: ServerFailed.

    Flash attention is on, which is llama.cpp's default. A new request does not interrupt the one being answered, which
    is that server's default.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = {
        "model": str(gguf),
        "model_alias": "llama.cpp",
        "chat_format": "chatml",
        "n_ctx": context,
        "n_threads": threads,
        "n_threads_batch": threads,
        "flash_attn": "true",
        "interrupt_requests": "false",
        "port": address.rpartition(":")[2],
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    started = time.perf_counter()
    with _running([sys.executable, "-m", "llama_cpp.server", *words]) as (process, log):

        def url() -> str:
            try:
                return address if httpx.get(f"{address}/v1/models", timeout=5).is_success else ""
            except httpx.TransportError:
                return ""

        yield _first_answer(connect("llama.cpp", _wait(process, log, url), extra), started)


def prompt_tokens(server: Server, messages: Sequence[Mapping[str, str]]) -> int:
    """How many tokens the server makes of a prompt, from the usage of an answer of one token. Raises: ServerFailed."""
    body = {"model": server.model, "max_tokens": 1, "messages": messages}
    try:
        response = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=None)  # noqa: S113
        return int(response.json()["usage"]["prompt_tokens"])
    except httpx.HTTPError as error:
        raise ServerFailed(f"{server.name}: {type(error).__name__}: {error}") from None
    except (ValueError, KeyError, TypeError):
        raise ServerFailed(f"{server.name}: status {response.status_code}: {response.text[:300]}") from None


def _first_answer(server: Server, started: float) -> Server:
    prompt_tokens(server, [{"role": "user", "content": "Hello"}])
    return replace(server, start_s=time.perf_counter() - started)


def connect(name: str, url: str, extra: Mapping[str, Any]) -> Server:
    """A server that runs already. Raises: ServerFailed."""
    url = url.rstrip("/").removesuffix("/v1")
    try:
        models = httpx.get(f"{url}/v1/models", timeout=60)
        model = str(models.json()["data"][0]["id"])
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServerFailed(f"{url}: {error}") from None
    except (ValueError, KeyError, IndexError, TypeError):
        raise ServerFailed(f"{url}/v1/models: not a list of models, status {models.status_code}") from None
    return Server(name, url, model, extra)


@contextmanager
def _running(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C is for this process, which stops its servers
        )
        try:
            yield process, log
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: subprocess.Popen[bytes], log: IO[bytes], url: Callable[[], str]) -> str:
    """The address, once `url` returns one. Raises: ServerFailed."""
    deadline = time.monotonic() + _START_S
    while process.poll() is None:
        if found := url():
            return found
        if time.monotonic() > deadline:
            raise ServerFailed(f"the server was not ready after {_START_S} s")
        time.sleep(0.02)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    raise ServerFailed(f"the server ended: {lines[-1] if lines else f'exit status {process.returncode}'}")
