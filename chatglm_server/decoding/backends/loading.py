"""The progress of loading, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from ...errors import ShuttingDown


def progress_bar(size: int) -> tqdm[NoReturn]:
    """A bar of `size` bytes, shown if loading takes over a second."""
    return tqdm(total=size, unit="B", unit_scale=True, desc="loading", delay=1, leave=False)


def read_through(path: Path, stopping: Callable[[], bool]) -> None:
    """Bring a file into the system's memory, for a backend that only maps it.

    Without this its first request would wait for the disk.

    Raises: ShuttingDown once `stopping` returns True.
    """
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as data, progress_bar(path.stat().st_size) as bar:
        while count := data.readinto(buffer):
            bar.update(count)
            if stopping():
                raise ShuttingDown("stopped while loading the model")
