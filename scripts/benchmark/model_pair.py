"""The model that all sides run, written once: a GGUF file; or a chatglm.cpp file, and its copy for llama.cpp."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable
from math import prod
from pathlib import Path

from chatglm_server.model_files.chatglm_bin import read_chatglm_bin
from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType, stored_type, tensor_shapes
from chatglm_server.model_files.containers import read_model_file

from .gguf_copy import write_gguf
from .random_gguf import SHAPES, random_gguf_size, write_random_gguf
from .random_model import header, write_random_model

TYPES = {dtype.name.lower(): dtype for dtype in DType}
"""Of a chatglm.cpp file."""


def default_folder() -> Path:
    """The user's cache, as the XDG Base Directory Specification has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chatglm-server-bench"


def random_gguf(folder: Path, shape: str, layers: int | None, mix: str) -> Path:
    """A GGUF file of a shape, with all of its layers or fewer; written if it does not exist. Raises: OSError."""
    figures = SHAPES[shape]
    count = layers or figures.layers
    path = folder / f"random-{shape}-{count}-layers-{mix}.gguf"
    return _written(
        path, random_gguf_size(figures, count, mix), lambda part: write_random_gguf(part, figures, count, mix)
    )


def random_chatglm_bin(folder: Path, layers: int | None, kind: str) -> Path:
    """A chatglm.cpp file of ChatGLM3-6B's shape, all matrices in one type. Raises: OSError."""
    dtype, count = TYPES[kind], layers or SHAPES["chatglm3"].layers
    size = 0
    for name, shape in tensor_shapes(header(count)):
        columns, block = BLOCK[stored_type(name, shape, dtype)]
        size += prod(shape) // columns * block
    path = folder / f"random-chatglm3-{count}-layers-{kind}.bin"
    return _written(path, size, lambda part: write_random_model(part, count, dtype))


def gguf_copy(path: Path, folder: Path) -> Path:
    """The copy of a chatglm.cpp file; written again if the file has changed. Raises: OSError, ModelFileError."""
    stat = path.stat()
    copy = folder / f"{path.stem}-{stat.st_mtime_ns:x}.gguf"
    return _written(copy, stat.st_size, lambda part: write_gguf(read_chatglm_bin(path), part))


def bring_into_memory(path: Path) -> None:
    """Reads a model's files into the page cache. Raises: OSError, ModelFileError."""
    buffer = bytearray(8 << 20)
    for part in {tensor.path for tensor in read_model_file(path).spec.tensors.values()}:
        with part.open("rb", buffering=0) as data:
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
