"""A model of ChatGLM3-6B's shape with random weights: its text is noise, it takes the real one's time and memory.

The weights are drawn as quantized blocks, not quantized from floats: speed does not depend on the codes. They are
scaled so that activations neither vanish nor overflow on their way through the layers.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from chatglm_bin_writer import write_encoded
from demo_model.sentencepiece_file import BLANK, BYTE, CONTROL, NORMAL, UNKNOWN, serialize

from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType, ModelHeader, ModelType

PIECES = 64789
"""Size of ChatGLM3's SentencePiece vocabulary; its role tokens follow."""

_CODE_BITS = {DType.Q4_0: 4, DType.Q4_1: 4, DType.Q5_0: 5, DType.Q5_1: 5, DType.Q8_0: 8}
_WITH_MINIMUM = (DType.Q4_1, DType.Q5_1)
_PIECE_OF_FLOATS = 1 << 22  # drawn at a time, to avoid a float64 copy of a whole matrix


def header(layers: int) -> ModelHeader:
    """The numbers of ChatGLM3-6B (its ``config.json``), which has 28 layers."""
    return ModelHeader(
        model_type=ModelType.CHATGLM3,
        vocab_size=65024,
        hidden_size=4096,
        num_attention_heads=32,
        num_key_value_heads=2,
        num_hidden_layers=layers,
        intermediate_size=13696,
        max_length=8192,
        eos_token_id=2,
    )


def write_random_model(path: Path, layers: int, dtype: DType, seed: int = 0) -> None:
    """Writes the file; the same for the same arguments. At most one matrix is in memory."""
    random = np.random.Generator(np.random.SFC64(seed))

    def data(name: str, shape: tuple[int, ...], kind: DType) -> memoryview:
        if kind in _CODE_BITS:
            return random_blocks(random, shape, kind).data
        if len(shape) == 2:
            return _floats(random, shape, kind).data
        return np.full(shape, 0 if name.endswith("bias") else 1, np.float32).data

    write_encoded(path, header(layers), serialize(_pieces()), data, dtype)


def random_blocks(random: np.random.Generator, shape: tuple[int, ...], kind: DType) -> npt.NDArray[np.uint8]:
    """(blocks, bytes of a block): random codes, and one scale such that the weights' deviation is columns ** -0.5."""
    rows, columns = shape
    width, size = BLOCK[kind]
    drawn = np.frombuffer(random.bytes(rows * columns // width * size), np.uint8)
    blocks: npt.NDArray[np.uint8] = drawn.reshape(-1, size).copy()
    if kind == DType.Q8_0:
        codes = blocks[:, 2:].view(np.int8)
        np.maximum(codes, -127, out=codes)  # quantizers never write -128, and kernels may rely on that
    levels = 1 << _CODE_BITS[kind]
    scale = columns**-0.5 * 12**0.5 / levels  # an even distribution over n levels deviates by n / sqrt(12)
    blocks[:, :2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    if kind in _WITH_MINIMUM:
        blocks[:, 2:4] = np.frombuffer(np.float16(-scale * (levels - 1) / 2).tobytes(), np.uint8)
    return blocks


def _floats(random: np.random.Generator, shape: tuple[int, ...], kind: DType) -> npt.NDArray[np.generic]:
    """(rows * columns): normally distributed."""
    rows, columns = shape
    values = np.empty(rows * columns, "<f2" if kind == DType.F16 else "<f4")
    for begin in range(0, len(values), _PIECE_OF_FLOATS):
        part = values[begin : begin + _PIECE_OF_FLOATS]
        part[:] = random.standard_normal(len(part), np.float32) * columns**-0.5
    return values


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
