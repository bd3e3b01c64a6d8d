"""From a GGUF file to a `ModelFile`: the network, the chat format, the tokenizer and the end tokens that it names."""

from __future__ import annotations

import re
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
from .weight_types import FILE_TYPES

_END_TOKENS = tuple(f"tokenizer.ggml.{name}_token_id" for name in ("eos", "eot", "eom"))
_NO_TOKEN = (-1, (1 << 32) - 1)
_HASH = re.compile(r"[0-9a-f]{32,64}")
_NO_MODELS = {
    "mmproj": "the image part of a model that sees (mmproj); this server reads text only: take the model's own .gguf "
    "file, which lies beside it",
    "adapter": "an adapter (LoRA), which this server does not run; merge it into its model, and convert that",
    "imatrix": "an importance matrix, which serves to quantize a model; take the model's own .gguf file",
}
"""By ``general.type``: what else is kept in GGUF files, and what to do."""


def read_gguf_model(path: Path) -> ModelFile:
    """Raises: ModelFileError."""
    file = read_gguf_parts(path)
    _refuse_other_kinds(file)
    spec = model_spec(file)
    detected = _chat_format(file)

    def tokenizer(chat_format: ChatFormat) -> Tokenizer:
        made = gguf_tokenizer(file.metadata)
        check_special_tokens(made, chat_format)
        return made

    return ModelFile(
        container="GGUF",
        architecture=text(file, "general.architecture") or "",
        quantization=_file_type(file) or next(iter(spec.bytes_by_type)),
        spec=spec,
        chat_format=detected.name,
        chat_format_reason=detected.reason,
        end_tokens=_end_tokens(file, spec.vocab_size),
        load_tokenizer=tokenizer,
    )


def _file_type(file: GGUFFile) -> str | None:
    """The mix's name; None without one, or for a number that is not known."""
    number = file.metadata.get("general.file_type")
    return FILE_TYPES.get(number) if type(number) is int else None


def _refuse_other_kinds(file: GGUFFile) -> None:
    """Raises: ModelFileError if the keys of `file` say that it is something else than a language model."""
    kind = "mmproj" if text(file, "general.architecture") == "clip" else text(file, "general.type")
    if kind in _NO_MODELS:
        raise ModelFileError(f"{file.path}: the file is {_NO_MODELS[kind]}")


def _chat_format(file: GGUFFile) -> DetectedFormat:
    return detect_format(
        text(file, "general.architecture") or "",
        text(file, "tokenizer.ggml.model") or "",
        text(file, "tokenizer.chat_template") or "",
        _name(file),
    )


def _name(file: GGUFFile) -> str:
    """The model's name; that of the file where the writer knew only a commit, the name of a folder in a cache."""
    name = text(file, "general.name") or ""
    return file.path.stem if _HASH.fullmatch(name) or not name else name


def _end_tokens(file: GGUFFile, vocab_size: int) -> frozenset[int]:
    """The ids of the end of the text, of a turn and of a message; the file may say that there is none.

    Raises: ModelFileError.
    """
    tokens = {key: file.metadata[key] for key in _END_TOKENS if file.metadata.get(key, -1) not in _NO_TOKEN}
    for key, token in tokens.items():
        if type(token) is not int or not 0 <= token < vocab_size:
            raise ModelFileError(f"{file.path}: the file's {key} is not a token id from 0 to {vocab_size - 1}")
    return frozenset(token for token in tokens.values() if isinstance(token, int))
