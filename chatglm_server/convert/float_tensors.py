"""From floating-point weights to blocks: some rows at a time, on several threads, in the file's order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from math import prod

import numpy as np

from ..errors import ModelFileError
from ..model_files.weight_types import WEIGHT_TYPES
from .gguf_writer import TensorData
from .quantizers.arrays import Floats
from .quantizers.table import quantize

_WEIGHTS_AT_A_TIME = 1 << 21
_MOST = 65504.0
"""The largest float16. Scales are stored as float16, and no scale is larger than the largest weight."""


@dataclass(frozen=True)
class FloatTensor:
    """A tensor to convert, and a way to read some of its rows (a vector's values)."""

    name: str
    shape: tuple[int, ...]
    rows: Callable[[int, int], Floats]


def encoded(tensor: FloatTensor, number: int, pool: Executor, threads: int) -> TensorData:
    """The tensor in ggml's type `number`; `threads` tasks at a time run in `pool`.

    Reading its pieces raises ModelFileError if a weight is NaN, infinite or too large for float16.
    """
    kind = WEIGHT_TYPES[number]
    rows, columns = tensor.shape[0], prod(tensor.shape[1:])
    step = max(1, _WEIGHTS_AT_A_TIME // columns)

    def encode(start: int) -> memoryview:
        weights = tensor.rows(start, min(start + step, rows))
        largest = float(np.abs(weights).max())
        if not largest <= _MOST:
            raise ModelFileError(
                f"the tensor {tensor.name} holds {largest:g}; weights must be numbers from -{_MOST:g} to {_MOST:g}"
            )
        return quantize(weights.reshape(len(weights), columns), number).reshape(-1).data

    def pieces() -> Iterator[memoryview]:
        running: deque[Future[memoryview]] = deque()
        try:
            for start in range(0, rows, step):
                running.append(pool.submit(encode, start))
                if len(running) > threads:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()
        finally:
            for task in running:
                task.cancel()

    return TensorData(tensor.name, tensor.shape, number, prod(tensor.shape) // kind.columns * kind.nbytes, pieces)
