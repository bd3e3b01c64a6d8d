"""The model that all sides run, written once: a chatglm.cpp file, and its copy for llama.cpp."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

from chatglm_server.model_files.chatglm_bin import ChatGLMBin
from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType, stored_type, tensor_shapes

from .gguf_copy import write_gguf
from .random_model import header, write_random_model

TYPES = {dtype.name.lower(): dtype for dtype in DType}


def default_folder() -> Path:
    """The user's cache, as the XDG Base Directory Specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chatglm-server-bench"


def random_model(folder: Path, layers: int, kind: str) -> Path:
    """A file with `layers` layers in the type `kind`; written if it does not exist. Raises: OSError."""
    dtype = TYPES[kind]
    size = 0
    for name, shape in tensor_shapes(header(layers)):
        columns, block = BLOCK[stored_type(name, shape, dtype)]
        size += prod(shape) // columns * block
    path = folder / f"random-chatglm3-{layers}-layers-{kind}.bin"
    return _written(path, size, lambda part: write_random_model(part, layers, dtype))


def gguf_copy(file: ChatGLMBin, folder: Path) -> Path:
    """The copy of a file; written again if the file has changed. Raises: OSError."""
    path = folder / f"{file.path.stem}-{file.path.stat().st_mtime_ns:x}.gguf"
    return _written(path, file.size, lambda part: write_gguf(file, part))


def bring_into_memory(path: Path) -> None:
    """Reads a file into the page cache."""
    buffer = bytearray(8 << 20)
    with path.open("rb", buffering=0) as data:
        while data.readinto(buffer):
            pass


def _written(path: Path, size: int, write: Callable[[Path], None]) -> Path:
    """`path`, which `write` makes if it does not exist; if that is interrupted, no file of that name remains."""
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < size:
        raise OSError(f"{path.parent}: {path.name} takes {size / 1e9:.1f} GB, {free / 1e9:.1f} GB are free")
    print(f"writing {path} ({size / 1e9:.1f} GB)", end=" ", file=sys.stderr, flush=True)
    part = path.with_suffix(path.suffix + ".part")
    started = time.perf_counter()
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    print(f"in {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return path
