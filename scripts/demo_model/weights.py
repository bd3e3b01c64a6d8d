"""Reads the weights back from a model file of this script, whose matrices are in q8_0."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from chatglm_server.engine.model_layout import ALIGNMENT, MAGIC, DType

from .model import Network

BLOCK = 32
RECORD_END = len(MAGIC) + 2 * 4 + 13 * 4
"""Where the size of the tokenizer stands."""


def load(network: Network, path: Path) -> None:
    """Puts the weights of a file into a network of its shape."""
    found = dict(_tensors(path.read_bytes()))
    names = zip(network.state_dict(), network.tensors(), strict=True)
    network.load_state_dict({own: torch.tensor(found[name]) for own, name in names})


def tokenizer(path: Path) -> bytes:
    """The tokenizer of a file."""
    data = path.read_bytes()
    (size,) = struct.unpack_from("<i", data, RECORD_END)
    return data[RECORD_END + 4 : RECORD_END + 4 + size]


def _tensors(data: bytes) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    (size,) = struct.unpack_from("<i", data, RECORD_END)
    place = RECORD_END + 4 + size
    while place < len(data):
        (length,) = struct.unpack_from("<i", data, place)
        name = data[place + 4 : place + 4 + length].decode()
        place += 4 + length
        (dimensions,) = struct.unpack_from("<i", data, place)
        *shape, kind = struct.unpack_from(f"<{dimensions + 1}i", data, place + 4)
        place += 8 + 4 * dimensions
        place += -place % ALIGNMENT
        count = int(np.prod(shape))
        if kind == DType.F32:
            values = np.frombuffer(data, np.float32, count, place)
            place += 4 * count
        elif kind == DType.Q8_0:
            blocks = np.frombuffer(data, np.uint8, count // BLOCK * (BLOCK + 2), place).reshape(-1, BLOCK + 2)
            scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
            values = blocks[:, 2:].copy().view(np.int8) * scales
            place += blocks.size
        else:
            raise ValueError(f"{name} is neither float32 nor q8_0")
        yield name, values.reshape(shape).astype(np.float32)
