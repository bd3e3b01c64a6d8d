"""A conversion from start to end: what is read, in which types it is written, and on how many threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..errors import ModelFileError
from ..model_files.chatglm_bin import read_chatglm_bin
from ..model_files.gguf import MAGIC
from .chatglm_bin import bin_contents
from .contents import Contents
from .gguf_writer import write_gguf
from .mixes import MIXES

Progress = Callable[[int], Callable[[int], object]]
"""Is called with the size of the file in bytes; the function that it returns, with the size of each piece written."""

_DEFAULT_MIX = "q4_k_m"


def convert(source: Path, out: Path, mix: str | None, threads: int, progress: Progress) -> Contents:
    """Writes a Hugging Face folder, or a chatglm.cpp file, as the GGUF file `out`.

    `mix` is a name of `MIXES`; None means ``q4_k_m`` for a folder. The blocks of a chatglm.cpp file stay as they are.

    Raises: ModelFileError for a source that cannot be converted, OSError if the file cannot be written.
    """
    with ThreadPoolExecutor(threads) as pool:
        if source.is_dir():
            from .huggingface import read_huggingface
            from .quantization import quantized

            contents = quantized(read_huggingface(source), MIXES[mix or _DEFAULT_MIX], pool, threads)
        elif _is_gguf(source):
            raise ModelFileError(f"{source}: is a GGUF file already; convert the model's folder from Hugging Face")
        elif mix is not None:
            raise ModelFileError(f"{source}: a chatglm.cpp file keeps its types of weights; leave out --type")
        else:
            contents = bin_contents(read_chatglm_bin(source))
        write_gguf(out, contents.metadata, contents.tensors, progress(contents.nbytes))
    return contents


def _is_gguf(path: Path) -> bool:
    """Raises: OSError."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC
