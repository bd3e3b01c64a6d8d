"""The progress of loading, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from tqdm import tqdm

from ...errors import ShuttingDown
from ...model_files.chatglm_bin import ModelFile


def progress_bar(size: int) -> tqdm[NoReturn]:
    """A bar of `size` bytes, shown if loading takes over a second."""
    return tqdm(total=size, unit="B", unit_scale=True, desc="loading", delay=1, leave=False)


def read_through(file: ModelFile, stopping: Callable[[], bool]) -> None:
    """Bring the file into the system's memory, for a backend that only maps it.

    Without this its first request would wait for the disk.

    Raises: ShuttingDown once `stopping` returns True.
    """
    buffer = bytearray(8 << 20)
    with file.path.open("rb", buffering=0) as data, progress_bar(file.size) as bar:
        while count := data.readinto(buffer):
            bar.update(count)
            if stopping():
                raise ShuttingDown("stopped while loading the model")
