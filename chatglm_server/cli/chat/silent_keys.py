"""Keys that are pressed while an answer is drawn: they are kept for the next line, and not written into the drawing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

if sys.platform == "win32":
    import msvcrt
else:
    import termios


@contextmanager
def silent_keys() -> Iterator[None]:
    """The terminal does not echo keys meanwhile, if stdin is one. Windows echoes none outside of a prompt."""
    if sys.platform == "win32":  # noqa: SIM114  # alone, so that mypy knows that the rest is not Windows'
        yield
    elif not sys.stdin.isatty():
        yield
    else:
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        silent = [*before]
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, silent)
        try:
            yield
        finally:
            termios.tcsetattr(terminal, termios.TCSANOW, before)


def forget_keys() -> None:
    """Throw away keys that were typed before a question: they do not answer it."""
    if sys.platform == "win32":
        while msvcrt.kbhit():
            msvcrt.getwch()
    elif sys.stdin.isatty():
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
