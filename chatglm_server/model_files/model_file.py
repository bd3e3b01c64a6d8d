"""A checked model file, whatever its container: all that the server needs to know before it reads the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..formats.base import ChatFormat
from .spec import ModelSpec
from .tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a container's reader makes of a file. `load_tokenizer` raises ModelFileError if the tokenizer is broken, or
    lacks the special tokens of the chat format.
    """

    container: str
    """The file format: "GGUF" or "chatglm.cpp"."""
    architecture: str
    """The model's architecture as the file names it."""
    spec: ModelSpec
    chat_format: str
    """The name of the chat format that the model was trained with."""
    chat_format_reason: str
    """What in the file says so."""
    end_tokens: frozenset[int]
    """Ids of the tokens that the file names as ends of an answer."""
    load_tokenizer: Callable[[ChatFormat], Tokenizer]

    @property
    def path(self) -> Path:
        """The file that the user named."""
        return self.spec.path
