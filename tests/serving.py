"""A real server in a process of its own, on a port of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

import httpx

_START_S = 300  # a cold import of torch on a busy machine takes its time
_NO_MODELS = dict.fromkeys(("HOME", "HF_HOME", "MODELSCOPE_CACHE", "OLLAMA_MODELS"), os.devnull)
"""No server of a test sees this user's models: those that it could run would be on its shelf."""
_URL = re.compile(r"API\W+(http://\S+)/v1")  # the log of JSON has quotes around it


class RunningServer:
    """``python -m chatglm_server`` with the given options; ready once the context is entered."""

    def __init__(
        self,
        *options: str,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        ready: bool = True,
        port: int = 0,
    ):
        self._options = options
        self._port = port
        self._env = env or {}
        self._cwd = cwd
        self._ready = ready
        self.lines: list[str] = []
        self.url = ""

    def __enter__(self) -> RunningServer:
        ours = ("CHATGLM_", "OPENAI_", "PORT", "ENABLE_THINK_FILTER", "MODEL", "NUM_THREADS")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatglm_server", *self._options, "--port", str(self._port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | _NO_MODELS | {"PYTHONPATH": str(Path(__file__).parent.parent)} | self._env,
            cwd=self._cwd,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_for_line("ready" if self._ready else "stop ")
            self.url = next(match[1] for line in self.lines if (match := _URL.search(line)))
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        self._reader.join(5)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def output(self) -> str:
        """All that the server printed so far."""
        return "\n".join(self.lines)

    def wait_for_line(self, text: str, timeout: float = _START_S) -> str:
        """The first line that holds `text`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            for line in self.lines:
                if text in line:
                    return line
            if self.process.poll() is not None:
                self._reader.join(5)
                raise AssertionError(f"the server ended with {self.process.returncode}:\n{self.output}")
            time.sleep(0.02)
        raise AssertionError(f"no line with {text!r} in {timeout} s:\n{self.output}")

    def health(self) -> dict[str, object]:
        """``GET /health``."""
        result: dict[str, object] = httpx.get(f"{self.url}/health", timeout=30).json()
        return result

    def queue(self) -> dict[str, int]:
        """The queue, as ``/health`` gives it."""
        queue: dict[str, int] = self.health()["queue"]  # type: ignore[assignment]
        return queue

    def wait_for_queue(self, timeout: float = 30, **wanted: int) -> None:
        """Until the queue's figures are those wanted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            queue = self.queue()
            if all(queue[name] == value for name, value in wanted.items()):
                return
            time.sleep(0.02)
        raise AssertionError(f"the queue is {self.queue()}, not {wanted}")

    def post(self, path: str = "/v1/chat/completions", *, json: object) -> httpx.Response:
        """A request, whole."""
        return httpx.post(self.url + path, json=json, timeout=120)

    def stream(self, body: dict[str, object], path: str = "/v1/chat/completions") -> bytes:
        """The bytes of a streamed answer."""
        with httpx.stream("POST", self.url + path, json=body | {"stream": True}, timeout=120) as response:
            response.read()
            assert response.status_code == 200, response.text
            return response.content


def user(text: str) -> list[dict[str, object]]:
    """A conversation of one question."""
    return [{"role": "user", "content": text}]
