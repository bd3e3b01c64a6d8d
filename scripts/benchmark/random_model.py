"""A model of ChatGLM3-6B's shape with random weights: its text is noise, it takes the real one's time and memory.

A chatglm.cpp file: it is the one that chatglm-cpp can run, too.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from chatglm_bin_writer import write_encoded
from demo_model.sentencepiece_file import BLANK, serialize

from chatglm_server.model_files.chatglm_bin_layout import DType, ModelHeader, ModelType
from chatglm_server.model_files.sentencepiece_proto import BYTE, CONTROL, NORMAL, UNKNOWN

from .random_weights import random_tensor

PIECES = 64789
"""Size of ChatGLM3's SentencePiece vocabulary; its role tokens follow."""


def header(layers: int, context: int = 8192) -> ModelHeader:
    """The numbers of ChatGLM3-6B (its ``config.json``), which has 28 layers; that of 32k has a `context` of 32,768."""
    return ModelHeader(
        model_type=ModelType.CHATGLM3,
        vocab_size=65024,
        hidden_size=4096,
        num_attention_heads=32,
        num_key_value_heads=2,
        num_hidden_layers=layers,
        intermediate_size=13696,
        max_length=context,
        eos_token_id=2,
    )


def write_random_model(path: Path, layers: int, dtype: DType, seed: int = 0, context: int = 8192) -> None:
    """Writes the file; the same for the same arguments. At most one matrix is in memory."""
    random = np.random.Generator(np.random.SFC64(seed))

    def data(name: str, shape: tuple[int, ...], kind: DType) -> bytes:
        return b"".join(random_tensor(random, name, shape, kind.name))

    write_encoded(path, header(layers, context), serialize(_pieces()), data, dtype)


def _pieces() -> Iterator[tuple[str, int]]:
    """A vocabulary of ChatGLM3's size that cuts English into pieces of up to three letters, Chinese into characters."""
    letters = string.ascii_lowercase
    groups = [
        (("<unk>", UNKNOWN), ("<s>", CONTROL), ("</s>", CONTROL)),
        ((f"<0x{byte:02X}>", BYTE) for byte in range(256)),
        ((blank + "".join(word), NORMAL) for blank in ("", BLANK) for word in itertools.product(letters, repeat=2)),
        ((blank + "".join(word), NORMAL) for blank in ("", BLANK) for word in itertools.product(letters, repeat=3)),
        ((BLANK + letter, NORMAL) for letter in letters),
        ((f"{number:02}", NORMAL) for number in range(100)),
        ((character, NORMAL) for character in (*string.printable[:94], "\n", BLANK)),
        ((chr(code), NORMAL) for code in range(0x4E00, 0x9FA6)),
        ((chr(code), NORMAL) for code in itertools.count(0xAC00)),  # Hangul, until the vocabulary is full
    ]
    return itertools.islice(itertools.chain.from_iterable(groups), PIECES)
