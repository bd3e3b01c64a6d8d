"""Renders Markdown in a process of its own, which ends with a text that takes too long."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from html import escape
from typing import Any, cast

from ..log_once import log_once

MAX_TEXT = 65_536
"""Characters of a text."""
_SECONDS = 3.0
_MAX_HTML_BYTES = 16 << 20


class Renderer:
    """Gives each text its turn. The process starts with the first one."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        """`seconds`: what a text may take."""
        self._seconds = seconds
        self._turn = asyncio.Lock()
        self._process: Process | None = None

    async def render(self, text: str) -> list[dict[str, Any]]:
        """The blocks of `text`, each with its first `line` and its `html`; of one that takes too long, as it is."""
        async with self._turn:
            try:
                return await self._rendered(text)
            except asyncio.CancelledError:
                await self._end()  # its answer would be taken for that of the next text
                raise
            except (OSError, ValueError):  # the process has ended, or answered more than is read
                await self._end()
                log_once("a text could not be rendered, or not in time; the page shows it as it is")
                return [{"line": 0, "html": f"<pre>{escape(text)}</pre>"}]

    async def close(self) -> None:
        """End the process."""
        async with self._turn:
            await self._end()

    async def _rendered(self, text: str) -> list[dict[str, Any]]:
        """Raises: OSError, ValueError."""
        if self._process is None or self._process.returncode is not None:  # the system may have ended it
            # With this process's own path: -m would look for modules in the working folder first.
            program = (
                f"import sys; sys.path[:] = {sys.path!r}; from {__package__}.worker import main; main({self._seconds})"
            )
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", program), stdin=PIPE, stdout=PIPE, limit=_MAX_HTML_BYTES
            )
        pipe_in = cast(asyncio.StreamWriter, self._process.stdin)
        pipe_out = cast(asyncio.StreamReader, self._process.stdout)
        pipe_in.write(json.dumps(text).encode() + b"\n")
        await pipe_in.drain()
        blocks: list[dict[str, Any]] = json.loads(await pipe_out.readline())
        return blocks

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            if process.returncode is None:
                process.kill()
            await process.wait()
