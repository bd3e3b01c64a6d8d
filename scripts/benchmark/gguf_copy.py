"""The same model for llama.cpp: a chatglm.cpp file, copied block for block into GGUF."""

from __future__ import annotations

from pathlib import Path

from chatglm_server.convert import gguf_writer
from chatglm_server.convert.chatglm_bin import bin_contents
from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.chatglm_bin import ChatGLMBin


def obstacle(file: ChatGLMBin) -> str:
    """Why a file cannot be copied; "" if it can."""
    try:
        bin_contents(file)
    except ModelFileError as error:
        return str(error)
    return ""


def write_gguf(file: ChatGLMBin, path: Path) -> None:
    """Writes the copy; tensors go from file to file without being held in memory. `obstacle` must be ""."""
    contents = bin_contents(file)
    gguf_writer.write_gguf(path, contents.metadata, contents.tensors)
