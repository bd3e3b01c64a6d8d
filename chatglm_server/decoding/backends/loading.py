"""The progress of loading, and a way to stop it."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tqdm import tqdm

from ...errors import ShuttingDown

_NEWS_S = 10.0  # between lines where no terminal shows a bar

_log = logging.getLogger("chatglm_server")


@contextmanager
def loading_progress(size: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that takes the bytes of `size` that are loaded so far.

    A terminal shows a bar if loading takes over a second; elsewhere a line says every ten seconds how far it is.
    """
    told = time.monotonic()
    with tqdm(total=size, unit="B", unit_scale=True, desc="loading", delay=1, leave=False, disable=None) as bar:

        def loaded(count: int) -> None:
            nonlocal told
            bar.update(count - bar.n)
            if not sys.stderr.isatty() and time.monotonic() - told >= _NEWS_S:
                told = time.monotonic()
                _log.info("loading: %.1f of %.1f GB", count / 1e9, size / 1e9)

        yield loaded


def read_through(path: Path, stopping: Callable[[], bool]) -> None:
    """Bring a file into the system's memory, for a backend that only maps it.

    Without this its first request would wait for the disk.

    Raises: ShuttingDown once `stopping` returns True.
    """
    buffer = bytearray(8 << 20)
    done = 0
    with path.open("rb", buffering=0) as data, loading_progress(path.stat().st_size) as loaded:
        while count := data.readinto(buffer):
            done += count
            loaded(done)
            if stopping():
                raise ShuttingDown("stopped while loading the model")
