"""From a checked chatglm.cpp file to a `ModelFile`: its model type says which chat format it was trained with."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelFileError
from ..formats.base import ChatFormat
from .chatglm_bin import read_chatglm_bin
from .chatglm_bin_spec import model_spec
from .model_file import ModelFile
from .tokenizer import Tokenizer, load_tokenizer

_SAME_TOKENIZER = ({"chatglm"}, {"chatglm2", "chatglm3"}, {"glm4", "glm4-0414", "glm-z1"})
"""Families whose tokenizers differ at most in the names of the last ids."""


def read_chatglm_bin_model(path: Path) -> ModelFile:
    """Raises: ModelFileError."""
    file = read_chatglm_bin(path)

    def tokenizer(chat_format: ChatFormat) -> Tokenizer:
        # The file names no special tokens: the format does. So only the model type tells whether it fits.
        if not any({file.family, chat_format.name} <= kind for kind in _SAME_TOKENIZER):
            raise ModelFileError(
                f"holds a {file.family} model, whose tokenizer does not fit --chat-format {chat_format.name}"
            )
        return load_tokenizer(file.family, file.tokenizer, chat_format)

    spec = model_spec(file)
    return ModelFile(
        container="chatglm.cpp",
        architecture=file.family,
        quantization=next(iter(spec.bytes_by_type)),
        spec=spec,
        chat_format=file.family,
        chat_format_reason="the file's model type",
        end_tokens=frozenset({file.header.eos_token_id}),
        load_tokenizer=tokenizer,
    )
