"""A GGUF file with the shape of a real model and random weights: it takes the real one's time and memory.

The types of its tensors are those of a real file of that name, too (``chatglm_server/convert/mixes.py``). It has no
vocabulary: both its readers take token ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from chatglm_server.convert.gguf_writer import TensorData, write_gguf
from chatglm_server.convert.mixes import MIXES, tensor_type
from chatglm_server.model_files.weight_types import WEIGHT_TYPES

from .flash_shape import FlashShape
from .random_weights import random_tensor
from .shape import Shape

SHAPES = {
    "chatglm3": Shape("chatglm", 28, 65_024, 32_768, True, True, 1e-5, 1e4),
    "glm-4-9b": Shape("chatglm", 40, 151_552, 131_072, True, True, 1.5625e-7, 5e6),
    "glm-4-9b-0414": Shape("glm4", 40, 151_552, 32_768, False, False, 1e-5, 1e4),
    "glm-4.7-flash": FlashShape(
        *("deepseek2", 47, 154_880, 202_752, False, False, 1e-5, 1e6),
        hidden_size=2048,
        heads=20,
        head_size=192,
        ffn_size=10240,
    ),
}
"""From the models' ``config.json``; ChatGLM3's context is that of ChatGLM3-6B-32k."""


def random_gguf_size(shape: Shape, layers: int, mix: str) -> int:
    """Bytes of the tensors."""
    return sum(tensor.nbytes for tensor in _tensors(shape, layers, mix, seed=0))


def write_random_gguf(path: Path, shape: Shape, layers: int, mix: str, seed: int = 0) -> None:
    """Writes the file; the same for the same arguments. Raises: OSError."""
    write_gguf(path, shape.metadata(layers), list(_tensors(shape, layers, mix, seed)))


def _tensors(shape: Shape, layers: int, mix: str, seed: int) -> Iterator[TensorData]:
    """Their data are drawn when they are written."""
    random = np.random.Generator(np.random.SFC64(seed))
    for name, size in shape.tensors(layers).items():
        number = tensor_type(
            *(MIXES[mix], name, size),
            layers=layers,
            heads_per_value=shape.heads // shape.kv_heads,
            is_output=name == "output.weight",
        )
        block = WEIGHT_TYPES[number]
        nbytes = prod(size) // block.columns * block.nbytes
        yield TensorData(name, size, number, nbytes, partial(random_tensor, random, name, size, block.name))
