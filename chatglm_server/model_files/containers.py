"""The containers of models: a file's first bytes say which one it is. To add one, write its reader and add a line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..errors import ModelFileError
from .chatglm_bin_model import read_chatglm_bin_model
from .gguf_model import read_gguf_model
from .model_file import ModelFile

_READERS: dict[bytes, Callable[[Path], ModelFile]] = {
    b"ggml": read_chatglm_bin_model,
    b"GGUF": read_gguf_model,
}


def read_model_file(path: Path) -> ModelFile:
    """Reads everything but the tensors' data, and checks that the file is complete.

    Raises: ModelFileError, whose message is one line that names the file and the fault.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    if magic not in _READERS:
        raise ModelFileError(f'{path}: the file is no model: it begins neither with "GGUF" nor with "ggml"')
    return _READERS[magic](path)
