"""Reads the weights back from a model file of this script, whose matrices are in q8_0."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from chatglm_server.model_files.chatglm_bin import Tensor, read_chatglm_bin
from chatglm_server.model_files.chatglm_bin_layout import BLOCK, DType

from .model import Network


def load(network: Network, path: Path) -> None:
    """Puts the weights of a file into a network of its shape."""
    data = path.read_bytes()
    found = {tensor.name: _values(tensor, data) for tensor in read_chatglm_bin(path).tensors}
    names = zip(network.state_dict(), network.tensors(), strict=True)
    network.load_state_dict({own: torch.tensor(found[name]) for own, name in names})


def _values(tensor: Tensor, data: bytes) -> npt.NDArray[np.float32]:
    raw = data[tensor.offset : tensor.offset + tensor.nbytes]
    if tensor.type == DType.F32:
        return np.frombuffer(raw, np.float32).reshape(tensor.shape)
    if tensor.type != DType.Q8_0:
        raise ValueError(f"{tensor.name} is neither float32 nor q8_0")
    _, size = BLOCK[DType.Q8_0]
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, size)
    scales = blocks[:, :2].copy().view(np.float16).astype(np.float32)
    values: npt.NDArray[np.float32] = (blocks[:, 2:].copy().view(np.int8) * scales).reshape(tensor.shape)
    return values
