"""Writes a SentencePiece model (sentencepiece_model.proto) from pieces, without protobuf."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_BPE = 2


NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = TYPES = range(1, 7)
"""Types of pieces. GGUF's ``tokenizer.ggml.token_type`` has the same numbers."""


def sentencepiece_proto(pieces: Iterable[tuple[str, float, int]], *, dummy_prefix: bool) -> bytes:
    """A serialized ModelProto of (text, score, type of piece).

    The model is of type BPE: the neighbours that make the piece with the highest score are merged first. It does not
    normalize text and keeps all blanks. Byte pieces spell what has no other piece. `dummy_prefix`: a blank is put in
    front of every text.

    Raises: UnicodeEncodeError for half a surrogate pair, OverflowError for a score that is no float32.
    """
    parts: list[bytes] = []
    count, has_bytes = 0, False
    for text, score, kind in pieces:
        entry = _bytes(1, text.encode()) + _float(2, score) + _int(3, kind)
        parts.append(_bytes(1, entry))
        count += 1
        has_bytes = has_bytes or kind == BYTE
    trainer = _int(3, _BPE) + _int(4, count) + _int(35, has_bytes)
    normalizer = _bytes(1, b"identity") + _int(3, dummy_prefix) + _int(4, 0) + _int(5, 1)
    return b"".join((*parts, _bytes(2, trainer), _bytes(3, normalizer)))


def _varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def _int(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _float(field: int, value: float) -> bytes:
    return _varint(field << 3 | 5) + struct.pack("<f", value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value
