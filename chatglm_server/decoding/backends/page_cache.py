"""Brings a model file into the system's memory, for backends that only map it."""

from __future__ import annotations

from collections.abc import Callable

from tqdm import tqdm

from ...errors import ShuttingDown
from ...model_files.chatglm_bin import ModelFile

_CHUNK = 8 << 20  # bytes


def read_through(file: ModelFile, stopping: Callable[[], bool]) -> None:
    """Read all of the file once, with a progress bar if that takes over a second.

    On a slow disk this is most of the wait, and can be stopped. Without it the first request would wait for the disk.

    Raises: ShuttingDown once `stopping` says so.
    """
    with (
        file.path.open("rb", buffering=0) as data,
        tqdm(total=file.size, unit="B", unit_scale=True, desc="loading", delay=1, leave=False) as progress,
    ):
        buffer = bytearray(_CHUNK)
        while count := data.readinto(buffer):
            progress.update(count)
            if stopping():
                raise ShuttingDown("stopped while loading the model")
