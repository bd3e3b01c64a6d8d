"""Byte-level BPE, as GLM-4 and later use it: tiktoken merges pairs by rank, and the rank of a token is its id."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence

import tiktoken

from ..errors import ModelFileError

# One splitting pattern for all of GLM-4 to GLM-5. `\s+\z` adds no match to it, but takes blanks at the end of a text
# in linear time and constant memory; the lookahead after it keeps every blank on a stack.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+\z|\s+(?!\S)|\s+"
)

_BLANK = r"\t\x0b\x0c \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
# That stack overflows at a million blanks. The pattern cuts before and behind them anyway, but leaves the last blank to
# a word that follows.
_LONG_BLANKS = re.compile(rf"([{_BLANK}]{{100000,}})(?=[{_BLANK}][^{_BLANK}\r\n]|\Z)")


class BytePairTokenizer:
    """Tokens of bytes, which are plain text, and special tokens, which no text becomes."""

    def __init__(self, ranks: Mapping[bytes, int], specials: Mapping[str, int], size: int) -> None:
        """`ranks`: the id of each token of plain text; pairs with smaller ids are merged first. `size`: number of ids.

        Raises: ModelFileError if a byte has no token.
        """
        missing = next((byte for byte in range(256) if bytes([byte]) not in ranks), None)
        if missing is not None:
            raise ModelFileError(f"the tokenizer is broken: it has no token for the byte {missing}")
        self.specials = dict(specials)
        self.size = size
        self._bytes = [b""] * size
        for data, token in ranks.items():
            self._bytes[token] = data
        self.longest_token = max(map(len, ranks))
        self._encoding = tiktoken.Encoding("glm4", pat_str=_PATTERN, mergeable_ranks=dict(ranks), special_tokens={})

    def encode_text(self, text: str) -> list[int]:
        parts = _LONG_BLANKS.split(text)
        return [token for part in parts if part for token in self._encoding.encode_ordinary(part)]

    def token_bytes(self, token: int) -> bytes:
        return self._bytes[token] if token < len(self._bytes) else b""

    def piece(self, token: int) -> str:
        return self._bytes[token].decode(errors="backslashreplace")  # a token may be part of a character


def tiktoken_tokenizer(vocabulary: bytes, special_tokens: Sequence[str]) -> BytePairTokenizer:
    """The tokenizer of tiktoken's own files: a line for each token (base64, rank); special tokens follow the last rank.

    Raises: ModelFileError.
    """
    ranks: dict[bytes, int] = {}
    try:
        for line in vocabulary.splitlines():
            token, _, rank = line.partition(b" ")
            ranks[base64.b64decode(token, validate=True)] = int(rank)
    except (ValueError, binascii.Error):
        raise ModelFileError("the tokenizer is broken: a line is not a base64 token and its rank") from None
    if sorted(ranks.values()) != list(range(len(ranks))):
        raise ModelFileError("the tokenizer is broken: its ranks are not 0, 1, 2, …")
    specials = {name: len(ranks) + place for place, name in enumerate(special_tokens)}
    return BytePairTokenizer(ranks, specials, len(ranks) + len(specials))
