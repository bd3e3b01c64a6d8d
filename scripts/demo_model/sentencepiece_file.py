"""A SentencePiece model for the ChatGLM3 demo, written down byte by byte.

Field numbers are those of sentencepiece_model.proto. The model is of type BPE: the neighbours that make the piece with
the highest score are joined first. User-defined pieces are matched before that, longest first, and never joined.
"""

from __future__ import annotations

import string
import struct
from collections.abc import Iterable

from chatglm_server.formats.chatglm3 import TOOLS_HEADER

from .bpe import learn_merges
from .vocabulary import SMALL_WORDS, Counts, letters, most_common, unique

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6
BPE = 2
BLANK = "\u2581"
EOS = 2

_BOILERPLATE = (
    TOOLS_HEADER,
    *(" \n", " ```python\ntool_call("),
    *("\n" + " " * indent for indent in range(4, 29, 4)),
    *("```python\ntool_call(", ")\n```", "')\n```", "='", "', ", "=", "_", "```"),
    *('{"', '"}', '": "', '", "', '": ', ', "', '": {', '"', "': '", "['", "']", "[", "]", "{", "}"),
    *('",', "},", '": [', '"type": "string"', '"type": "integer"', '"type": "number"', '"type": "object"'),
    *('"type": "boolean"', '"type": "array"', '"description": "', '"name": "', '"properties": {', '"required": ['),
    *('"enum": [', '"items": {', '"default": ', '"title": "', '"parameters": {'),
)  # fmt: skip


_MARKS = "，。？！：；、“”「」（）《》…×÷°"


def build(counts: Counts, merges: int = 1600, skeleton: int = 160, characters: int = 1000) -> bytes:
    """The serialized model."""
    pieces: list[tuple[str, int]] = [("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)]
    pieces += [(f"<0x{byte:02X}>", BYTE) for byte in range(256)]
    boilerplate = [
        text for text in unique((*_BOILERPLATE, *most_common(counts.skeleton, skeleton, 10))) if len(text) > 1
    ]
    pieces += [(text.replace(" ", BLANK), USER_DEFINED) for text in boilerplate]
    joined = learn_merges(letters(counts.words), merges)
    pieces += [(text, NORMAL) for text in joined]
    pieces += [(BLANK + word, NORMAL) for word in SMALL_WORDS if word in joined or len(word) == 1]
    singles = (
        BLANK,
        "\n",
        *_MARKS,
        *string.ascii_letters,
        *string.digits,
        *string.punctuation,
        *most_common(counts.characters, characters),
    )
    pieces += [(text, NORMAL) for text in unique(singles)]
    return serialize(pieces)


def texts(model: bytes) -> list[bytes]:
    """What each piece of a model stands for; nothing for control pieces."""
    found = []
    place = 0
    while place < len(model) and model[place] == 1 << 3 | 2:
        size, place = _read_varint(model, place + 1)
        length, start = _read_varint(model, place + 1)
        piece, kind = model[start : start + length].decode(), model[place + size - 1]
        found.append(_text(piece, kind))
        place += size
    return found


def _read_varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place


def _text(piece: str, kind: int) -> bytes:
    if kind in (UNKNOWN, CONTROL):
        return b""
    return bytes([int(piece[3:5], 16)]) if kind == BYTE else piece.replace(BLANK, " ").encode()


def serialize(pieces: Iterable[tuple[str, int]]) -> bytes:
    """A ModelProto: identity normalization, dummy prefix, all blanks kept; earlier pieces have higher scores."""
    entries = list(pieces)
    model = b""
    for index, (text, kind) in enumerate(entries):
        score = 0.0 if kind in (UNKNOWN, CONTROL, BYTE) else -float(index)
        model += _bytes(1, _bytes(1, text.encode()) + _tag(2, 5) + struct.pack("<f", score) + _int(3, kind))
    trainer = (
        _int(3, BPE) + _int(4, len(entries)) + _int(35, 1) + _int(40, 0) + _int(41, 1) + _int(42, EOS) + _int(43, -1)
    )
    normalizer = _bytes(1, b"identity") + _int(3, 1) + _int(4, 0) + _int(5, 1)
    return model + _bytes(2, trainer) + _bytes(3, normalizer)


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)


def _tag(field: int, wire_type: int) -> bytes:
    return _varint(field << 3 | wire_type)


def _int(field: int, value: int) -> bytes:
    return _tag(field, 0) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _tag(field, 2) + _varint(len(value)) + value
