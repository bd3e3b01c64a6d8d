"""A SentencePiece model for the ChatGLM3 demo.

The model is of type BPE: the neighbours that make the piece with the highest score are joined first. User-defined
pieces are matched before that, longest first, and never joined.
"""

from __future__ import annotations

import string
from collections.abc import Iterable

from sentencepiece import SentencePieceProcessor

from chatglm_server.formats.chatglm3 import TOOLS_HEADER
from chatglm_server.model_files.sentencepiece_proto import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    USER_DEFINED,
    sentencepiece_proto,
)

from .bpe import learn_merges
from .vocabulary import SMALL_WORDS, Counts, letters, most_common, unique

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
    processor = SentencePieceProcessor(model_proto=model)
    return [_text(processor, index) for index in range(processor.get_piece_size())]


def _text(processor: SentencePieceProcessor, index: int) -> bytes:
    if processor.is_unknown(index) or processor.is_control(index):
        return b""
    piece: str = processor.id_to_piece(index)
    return bytes([int(piece[3:5], 16)]) if processor.is_byte(index) else piece.replace(BLANK, " ").encode()


def serialize(pieces: Iterable[tuple[str, int]]) -> bytes:
    """A model with a dummy prefix, whose earlier pieces have higher scores."""
    return sentencepiece_proto(
        [(text, 0 if kind in (UNKNOWN, CONTROL, BYTE) else -index, kind) for index, (text, kind) in enumerate(pieces)],
        dummy_prefix=True,
    )
