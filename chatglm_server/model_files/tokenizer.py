"""The tokenizer inside a model file: prompts to token ids, and token ids back to text as they come.

SentencePiece (ChatGLM-6B to ChatGLM3) and tiktoken (GLM-4) encode text. This module adds special tokens, which only the
special pieces of a prompt become, and the incremental decoding.
"""

from __future__ import annotations

import codecs
from typing import Protocol

from ..errors import ModelFileError
from ..formats.base import ChatFormat, Piece, Prompt, Special
from .bpe_tokenizer import tiktoken_tokenizer
from .sentencepiece_tokenizer import ChatGLMTokenizer, SentencePieceTokenizer


class Tokenizer(Protocol):
    """Text ↔ token ids."""

    specials: dict[str, int]
    """Special tokens by name."""
    size: int
    """Number of ids, special tokens included."""
    longest_token: int
    """Bytes of the longest token."""

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text; never a special token, whatever the text spells."""
        ...

    def token_bytes(self, token: int) -> bytes:
        """The UTF-8 bytes of `token`, maybe part of a character; empty for ids without text."""
        ...

    def piece(self, token: int) -> str:
        """The vocabulary's own name of a token of plain text, for people to read."""
        ...


def encode_prompt(tokenizer: Tokenizer, prompt: Prompt) -> list[int]:
    """Ids of a rendered prompt, each text part encoded by itself."""
    ids: list[int] = []
    for piece in prompt.pieces:
        if isinstance(piece, Special):
            ids.append(tokenizer.specials[piece.name])
        else:
            ids += tokenizer.encode_text(piece)
    return ids


class Detokenizer:
    """Token ids to pieces, one at a time: text goes out as soon as its last byte is there, never half a character."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._names = {token: name for name, token in tokenizer.specials.items()}
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> list[Piece]:
        """The pieces that `token` completes. Mutates the detokenizer."""
        if token in self._names:
            return [*self.flush(), Special(self._names[token])]
        text = self._utf8.decode(self._tokenizer.token_bytes(token))
        return [text] if text else []

    def flush(self) -> list[Piece]:
        """The rest, with U+FFFD for an incomplete character. Mutates the detokenizer."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return [text] if text else []


def load_tokenizer(family: str, data: bytes, chat_format: ChatFormat) -> Tokenizer:
    """The tokenizer of a chatglm.cpp file of `family`.

    Raises: ModelFileError.
    """
    names = chat_format.special_tokens
    if family == "glm4":
        return tiktoken_tokenizer(data, names)
    if family == "chatglm":
        return ChatGLMTokenizer(data, names)
    return SentencePieceTokenizer(data, {}, following=names)


def check_special_tokens(tokenizer: Tokenizer, chat_format: ChatFormat) -> None:
    """Raises: ModelFileError if `tokenizer` lacks a special token of `chat_format`."""
    for name in chat_format.special_tokens:
        if name not in tokenizer.specials:
            raise ModelFileError(
                f"the tokenizer lacks the special token {name} of the chat format {chat_format.name}; "
                "choose another with --chat-format"
            )
