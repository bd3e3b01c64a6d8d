"""A SentencePiece model as GGUF's metadata: tokenizer "llama", which joins the neighbours with the highest score.

Field numbers are those of sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ..errors import ModelFileError
from ..model_files.sentencepiece_proto import CONTROL, NORMAL, UNKNOWN
from .gguf_writer import Value
from .vocabulary import filled

_PIECES, _TRAINER, _NORMALIZER = 1, 2, 3
_BPE = 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass
class _Model:
    """The settings for which GGUF has keys, with the defaults of the .proto."""

    pieces: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    algorithm: int = 1
    dummy_prefix: bool = True
    squeezes_blanks: bool = True


def sentencepiece_keys(proto: bytes, specials: Mapping[str, int], vocab_size: int) -> dict[str, Value]:
    """The keys of a serialized model, with `specials` (name → id) behind its pieces.

    Raises: ModelFileError for a broken model, or one that GGUF's tokenizer would read in another way.
    """
    try:
        model = _read(proto)
    except (IndexError, ValueError, struct.error):
        raise ModelFileError("the tokenizer is broken: it is not a SentencePiece model") from None
    if model.algorithm != _BPE:
        raise ModelFileError("the tokenizer is not SentencePiece's type BPE, the only one that GGUF files of GLM have")
    taken = set(model.pieces)
    # llama.cpp wants every token to have its own text
    named = {token: f"<{name}>" if name in taken else name for name, token in specials.items()}
    tokens, types = filled(model.pieces, model.types, named, vocab_size)
    keys: dict[str, Value] = {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [*model.scores, *[0.0] * (vocab_size - len(model.scores))],
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.add_space_prefix": model.dummy_prefix,
        "tokenizer.ggml.remove_extra_whitespaces": model.squeezes_blanks,
        "tokenizer.ggml.add_bos_token": False,
    }
    if UNKNOWN in model.types:
        keys["tokenizer.ggml.unknown_token_id"] = model.types.index(UNKNOWN)
    if "<s>" in taken and model.types[begin := model.pieces.index("<s>")] == CONTROL:
        keys["tokenizer.ggml.bos_token_id"] = begin
    return keys


def _read(proto: bytes) -> _Model:
    """Raises: IndexError, ValueError, struct.error for bytes that are no such message."""
    model = _Model()
    for number, value in _fields(proto):
        if number == _PIECES:
            piece = dict(_fields(_message(value)))
            model.pieces.append(_message(piece[1]).decode())
            (score,) = struct.unpack("<f", _message(piece.get(2, bytes(4))))
            model.scores.append(score)
            model.types.append(_number(piece.get(3, NORMAL)))
        elif number == _TRAINER:
            model.algorithm = _number(dict(_fields(_message(value))).get(3, model.algorithm))
        elif number == _NORMALIZER:
            normalizer = dict(_fields(_message(value)))
            model.dummy_prefix = bool(normalizer.get(3, True))
            model.squeezes_blanks = bool(normalizer.get(4, True))
    return model


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field of a message: a whole number, or bytes."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == _VARINT:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if kind == _BYTES:
            size, place = _varint(data, place)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, len(data) + 1)  # no other kind is in use
        if size > len(data) - place:
            raise ValueError("a field ends behind its message")
        yield key >> 3, data[place : place + size]
        place += size


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number, and the place behind it."""
    value = 0
    for shift in range(0, 70, 7):
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number of more than 64 bits")


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where bytes are expected")
    return value


def _number(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("bytes where a number is expected")
    return value
