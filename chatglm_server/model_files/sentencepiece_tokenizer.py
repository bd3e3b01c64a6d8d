"""Tokenizers over a SentencePiece model: ChatGLM-6B, ChatGLM2 and ChatGLM3."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import sentencepiece

from ..errors import ModelFileError


class SentencePieceTokenizer:
    """ChatGLM2 and ChatGLM3. Special tokens are control pieces, or ids after the last piece: no text becomes them."""

    def __init__(self, proto: bytes, controls: Mapping[str, int], following: Iterable[str] = ()) -> None:
        """`proto`: a serialized ModelProto. `controls`: special tokens that are control pieces, by name. `following`:
        names of the special tokens after the last piece.

        Raises: ModelFileError.
        """
        try:
            self._sp = _load(proto)
            count = self._sp.get_piece_size()
            self._bytes = [_piece_bytes(self._sp, token) for token in range(count)]
        except (RuntimeError, ValueError) as error:
            raise ModelFileError(f"the tokenizer is broken: {ascii(str(error))[1:-1]}") from None
        after = {name: count + place for place, name in enumerate(following)}
        self.specials = {**controls, **after}
        self.size = count + len(after)
        self.longest_token = max(map(len, self._bytes))

    def encode_text(self, text: str) -> list[int]:
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # half a pair is no character
        return list(self._sp.encode(text))

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""

    def piece(self, token: int) -> str:
        return str(self._sp.id_to_piece(token))


class ChatGLMTokenizer(SentencePieceTokenizer):
    """ChatGLM-6B: special tokens are pieces, and so are line breaks, tabs and runs of blanks."""

    _BLANKS = re.compile(" {2,80}")

    def __init__(self, proto: bytes, special_tokens: Iterable[str]) -> None:
        super().__init__(proto, {})
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


def _load(proto: bytes) -> sentencepiece.SentencePieceProcessor:
    sentencepiece.set_min_log_level(4)  # it would write errors to stderr by itself
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(proto)
    return processor


def _piece_bytes(sp: sentencepiece.SentencePieceProcessor, token: int) -> bytes:
    if sp.is_control(token) or sp.is_unused(token):
        return b""
    if sp.is_unknown(token):
        return "\N{REPLACEMENT CHARACTER}".encode()
    piece = str(sp.id_to_piece(token))
    if sp.is_byte(token):
        return bytes([int(piece[3:5], 16)])
    return piece.replace("▁", " ").encode()
