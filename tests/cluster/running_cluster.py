"""Replicas in a Ray of their own, started as users start them: ``serve run`` with a configuration file."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parent.parent.parent
_START_S = 300
_STOP_S = 60


class RunningCluster:
    """``serve run`` with these options of the application; ready once the context is entered."""

    def __init__(self, **words: object) -> None:
        self._words = words
        self.lines: list[str] = []
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> RunningCluster:
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets need a short path
        self.process = self.serve_run(self._words)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def serve_run(self, words: dict[str, Any], *options: str) -> subprocess.Popen[str]:
        """The command, in this Ray if there is one."""
        config = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "0.0.0.0", "port": self.port},  # the front refuses what comes from elsewhere
            "applications": [{"name": "default", "import_path": "chatglm_server.cluster:app", "args": words}],
        }
        path = self.folder / "cluster.yaml"
        path.write_text(json.dumps(config))  # which is YAML, too
        ours = ("CHATGLM_", "OPENAI_", "PORT", "ENABLE_THINK_FILTER", "MODEL", "NUM_THREADS", "RAY_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        own = {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
        own |= dict.fromkeys(("HOME", "RAY_TMPDIR", "XDG_CACHE_HOME"), str(self.folder))
        return subprocess.Popen(
            [sys.executable, "-m", "ray.serve.scripts", "run", *options, str(path)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=inherited | own,
            cwd=self.folder,
        )

    def redeploy(self, **words: object) -> None:
        """Replaces the replicas by others with these options; returns once the command has ended."""
        command = self.serve_run(self._words | words, "--address", "auto", "--non-blocking")
        output, _ = command.communicate(timeout=_START_S)
        assert command.returncode == 0, output

    def replicas(self) -> set[int]:
        """The processes of the replicas, by their ids."""
        return self._processes("ray::ServeReplica:default:Replica")

    def fronts(self) -> set[int]:
        """The process of the front: for a moment there may be another one, or none."""
        return self._processes("ray::ServeReplica:default:Front")

    def _processes(self, title: str) -> set[int]:
        found = set()
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                name = process.cmdline()[:1]
            except psutil.NoSuchProcess:
                continue
            if name and name[0].startswith(title):
                found.add(process.pid)
        return found

    def health(self) -> dict[str, Any]:
        """``GET /health``; {} while the front is not there."""
        try:
            health: dict[str, Any] = httpx.get(f"{self.url}/health", timeout=30).json()
        except (httpx.TransportError, ValueError):
            return {}
        return health

    def wait_for_health(self, *, timeout: float = _START_S, **wanted: int) -> None:
        """Until the figures of the queue are those wanted."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            queue = self.health().get("queue", {})
            if all(queue.get(name) == value for name, value in wanted.items()):
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.health()} is not {wanted}:\n" + "\n".join(self.lines[-50:]))

    def wait_until_ready(self) -> None:
        """Until two replicas are ready."""
        self.wait_for_health(max=2 * MAX_QUEUE)

    def wait_for_line(self, text: str, *, since: int = 0, timeout: float = _START_S) -> None:
        """Until a line that holds `text` follows the first `since` lines."""
        deadline = time.monotonic() + timeout
        while not any(text in line for line in self.lines[since:]):
            assert time.monotonic() < deadline, "\n".join(self.lines[since:])
            time.sleep(0.1)

    def wait_for_replicas(self, *, other_than: set[int], timeout: float = _START_S) -> None:
        """Until two replicas run, and none of those in `other_than`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            running = self.replicas()
            if len(running) == 2 and not running & other_than:
                return
            time.sleep(0.2)
        raise AssertionError(f"{self.replicas()}, before {other_than}:\n" + "\n".join(self.lines[-50:]))

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    def _stop(self) -> None:
        processes = [*psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for process in processes:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        self._reader.join(5)
        shutil.rmtree(self.folder, ignore_errors=True)


MAX_QUEUE = 32
"""The server's default: how many requests may wait at each replica."""
