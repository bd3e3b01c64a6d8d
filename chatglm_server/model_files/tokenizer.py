"""The tokenizer inside a model file: prompts to token ids, and token ids back to text as they come.

SentencePiece (ChatGLM-6B to ChatGLM3) and tiktoken (GLM-4) encode text. This module adds special tokens, which only the
special pieces of a prompt become, and the incremental decoding.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import re
from collections.abc import Iterable, Sequence
from typing import Protocol

import sentencepiece
import tiktoken

from ..errors import ModelFileError
from ..formats.base import ChatFormat, Piece, Prompt, Special

_GLM4_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


_BLANKS = re.compile(r"(\s{10000})")


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


class SentencePieceTokenizer:
    """ChatGLM2 and ChatGLM3: special tokens are the ids after the last piece."""

    def __init__(self, proto: bytes, special_tokens: Iterable[str]) -> None:
        try:
            self._sp = _load_sentencepiece(proto)
            count = self._sp.get_piece_size()
            self._bytes = [_piece_bytes(self._sp, token) for token in range(count)]
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"the tokenizer is broken: {str(error).splitlines()[0]}") from None
        self.specials = {name: count + place for place, name in enumerate(special_tokens)}
        self.size = count + len(self.specials)
        self.longest_token = max(map(len, self._bytes))

    def encode_text(self, text: str) -> list[int]:
        return list(self._sp.encode(text))

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""

    def piece(self, token: int) -> str:
        return str(self._sp.id_to_piece(token))


class ChatGLMTokenizer(SentencePieceTokenizer):
    """ChatGLM-6B: special tokens are pieces, and so are line breaks, tabs and runs of blanks."""

    _BLANKS = re.compile(" {2,80}")

    def __init__(self, proto: bytes, special_tokens: Iterable[str]) -> None:
        super().__init__(proto, ())
        self.specials = {name: self._id(name) for name in special_tokens}
        layout = {"<n>": b"\n", "<|tab|>": b"\t"} | {f"<|blank_{k}|>": b" " * k for k in range(2, 81)}
        for name, data in layout.items():
            token = self._sp.piece_to_id(name)
            if token != self._sp.unk_id():
                self._bytes[token] = data
        self.longest_token = max(map(len, self._bytes))
        self._newline = self._id("<n>")
        # Text that spells one of these pieces is split after its first character, so that it stays text.
        names = sorted([*self.specials, *layout], key=len, reverse=True)
        self._spelled = re.compile("|".join(f"(?<={re.escape(name[0])})(?={re.escape(name[1:])})" for name in names))

    def _id(self, name: str) -> int:
        token = int(self._sp.piece_to_id(name))
        if token == self._sp.unk_id():
            raise ModelFileError(f"the tokenizer lacks the piece {name}")
        return token

    def encode_text(self, text: str) -> list[int]:
        parts = self._spelled.split(text)
        ids = self._encode_part(parts[0])
        for part in parts[1:]:
            # A line break in front keeps SentencePiece from inserting a blank; its ids are dropped again.
            guarded = self._encode_part("\n" + part)
            ids += guarded[guarded.index(self._newline) + 1 :]
        return ids

    def _encode_part(self, text: str) -> list[int]:
        text = text.replace("\n", "<n>").replace("\t", "<|tab|>")
        return super().encode_text(self._BLANKS.sub(lambda run: f"<|blank_{len(run.group())}|>", text))


class TiktokenTokenizer:
    """GLM-4: byte-pair ranks, a line each (base64, rank); special tokens follow the last rank."""

    def __init__(self, vocabulary: bytes, special_tokens: Sequence[str]) -> None:
        ranks: dict[bytes, int] = {}
        try:
            for line in vocabulary.splitlines():
                token, _, rank = line.partition(b" ")
                ranks[base64.b64decode(token, validate=True)] = int(rank)
        except (ValueError, binascii.Error):
            raise ModelFileError("the tokenizer is broken: a line is not a base64 token and its rank") from None
        if sorted(ranks.values()) != list(range(len(ranks))):
            raise ModelFileError("the tokenizer is broken: its ranks are not 0, 1, 2, …")
        if any(bytes([byte]) not in ranks for byte in range(256)):
            raise ModelFileError("the tokenizer is broken: it lacks some single bytes")
        self.specials = {name: len(ranks) + place for place, name in enumerate(special_tokens)}
        self.size = len(ranks) + len(self.specials)
        self._bytes = sorted(ranks, key=ranks.__getitem__)
        self.longest_token = max(map(len, self._bytes))
        self._encoding = tiktoken.Encoding(
            "glm4", pat_str=_GLM4_PATTERN, mergeable_ranks=ranks, special_tokens=self.specials
        )

    def encode_text(self, text: str) -> list[int]:
        # tiktoken's pattern overflows the stack at a million blanks in a row, so long runs are split.
        return [token for part in _BLANKS.split(text) if part for token in self._encoding.encode_ordinary(part)]

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""

    def piece(self, token: int) -> str:
        return self._bytes[token].decode(errors="backslashreplace")  # a token may be part of a character


def load_tokenizer(family: str, data: bytes, chat_format: ChatFormat) -> Tokenizer:
    """The tokenizer of a model file of `family`.

    Raises: ModelFileError.
    """
    names = chat_format.special_tokens
    if family == "glm4":
        return TiktokenTokenizer(data, names)
    return ChatGLMTokenizer(data, names) if family == "chatglm" else SentencePieceTokenizer(data, names)


def _load_sentencepiece(proto: bytes) -> sentencepiece.SentencePieceProcessor:
    sentencepiece.set_min_log_level(4)  # it would write errors to stderr by itself
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(proto)
    return processor


def _piece_bytes(sp: sentencepiece.SentencePieceProcessor, token: int) -> bytes:
    if sp.is_control(token):
        return b""
    if sp.is_unknown(token):
        return "\N{REPLACEMENT CHARACTER}".encode()
    piece = str(sp.id_to_piece(token))
    if sp.is_byte(token):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()
