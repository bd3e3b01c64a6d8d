"""From a GGUF file to a `ModelFile`: the network, the chat format, the tokenizer and the end tokens that it names."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelFileError
from ..formats.base import ChatFormat
from ..formats.detection import DetectedFormat, detect_format
from .gguf import GGUFFile
from .gguf_keys import text
from .gguf_parts import read_gguf_parts
from .gguf_spec import model_spec
from .gguf_tokenizer import gguf_tokenizer
from .model_file import ModelFile
from .tokenizer import Tokenizer, check_special_tokens

_END_TOKENS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))


def read_gguf_model(path: Path) -> ModelFile:
    """Raises: ModelFileError."""
    file = read_gguf_parts(path)
    spec = model_spec(file)
    detected = _chat_format(file)

    def tokenizer(chat_format: ChatFormat) -> Tokenizer:
        made = gguf_tokenizer(file.metadata)
        check_special_tokens(made, chat_format)
        return made

    return ModelFile(
        container="GGUF",
        architecture=text(file, "general.architecture") or "",
        spec=spec,
        chat_format=detected.name,
        chat_format_reason=detected.reason,
        end_tokens=_end_tokens(file, spec.vocab_size),
        load_tokenizer=tokenizer,
    )


def _chat_format(file: GGUFFile) -> DetectedFormat:
    return detect_format(
        text(file, "general.architecture") or "",
        text(file, "tokenizer.ggml.model") or "",
        text(file, "tokenizer.chat_template") or "",
        text(file, "general.name") or file.path.stem,
    )


def _end_tokens(file: GGUFFile, vocab_size: int) -> frozenset[int]:
    """The ids of the end of the text, of a turn and of a message. Raises: ModelFileError."""
    tokens = {key: file.metadata[key] for key in _END_TOKENS if key in file.metadata}
    for key, token in tokens.items():
        if type(token) is not int or not 0 <= token < vocab_size:
            raise ModelFileError(f"{file.path}: the file's {key} is not a token id from 0 to {vocab_size - 1}")
    return frozenset(token for token in tokens.values() if isinstance(token, int))
