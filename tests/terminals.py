"""A program on a terminal of its own, read as a person would: by the terminal emulator pyte."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import pyte

ROOT = Path(__file__).parent.parent
_ROWS, _COLUMNS = 60, 100
_TIMEOUT_S = 60


class Screen(pyte.HistoryScreen):
    """Answers what programs ask a terminal, such as where its cursor is."""

    def __init__(self, terminal: int) -> None:
        super().__init__(_COLUMNS, _ROWS, history=10_000, ratio=0.5)
        self._terminal = terminal

    def write_process_input(self, data: str) -> None:
        os.write(self._terminal, data.encode())


class OnTerminal:
    """``python -m chatglm_server`` with the given words."""

    def __init__(self, *words: str, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
        self._terminal, inside = pty.openpty()
        os.set_blocking(self._terminal, False)
        ours = ("CHATGLM_", "OPENAI_", "NO_COLOR", "FORCE_COLOR")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        size = {"LINES": str(_ROWS), "COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "chatglm_server", *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            env=inherited | {"PYTHONPATH": str(ROOT)} | size | dict(env or {}),
            cwd=cwd,
            preexec_fn=lambda: _take_terminal(inside),
        )
        os.close(inside)
        self.raw = b""
        """All that was written to the terminal."""
        self._screen = Screen(self._terminal)
        self._stream = pyte.ByteStream(self._screen)

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._terminal)

    def text(self) -> str:
        """What a person sees, and has seen above the screen's upper edge."""
        above = ["".join(line[column].data for column in range(_COLUMNS)) for line in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self._screen.display])

    def type(self, text: str) -> None:
        """Press keys: "\\r" is Enter, "\\x03" Ctrl-C, "\\x04" Ctrl-D."""
        os.write(self._terminal, text.encode(errors="surrogateescape"))

    def wait_for(self, pattern: str, count: int = 1) -> None:
        """Until `pattern` is seen so many times."""
        deadline = time.monotonic() + _TIMEOUT_S
        while len(re.findall(pattern, self.text())) < count:
            assert time.monotonic() < deadline, f"no {pattern!r} in:\n{self.text()}"
            ended = self.process.poll() is not None
            assert self._read(0.2) or not ended, f"the program ended before {pattern!r}:\n{self.text()}"

    def wait_for_end(self) -> int:
        """The exit status."""
        deadline = time.monotonic() + _TIMEOUT_S
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"the program does not end:\n{self.text()}"
            self._read(0.1)
        while self._read(0):
            pass
        return self.process.returncode

    def _read(self, seconds: float) -> bool:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self._terminal, 65536)
        except OSError:  # Linux: the other side is closed
            return False
        self.raw += data
        self._stream.feed(data)
        return bool(data)


def _take_terminal(inside: int) -> None:
    """Makes the terminal that of a new session, so that keys such as Ctrl-C become signals."""
    os.setsid()
    fcntl.ioctl(inside, termios.TIOCSCTTY, 0)
