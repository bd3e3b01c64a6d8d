"""The compute core: ChatGLM2, ChatGLM3 and GLM-4 on a CPU."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

class SupportsDLPack(Protocol):
    """An array, by DLPack. The module has no such name."""

    def __dlpack__(self, *, stream: None = None) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class _TensorSpec(Protocol):
    @property
    def path(self) -> Path: ...
    @property
    def type(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def offset(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

class _ModelSpec(Protocol):
    """See ``chatglm_server/model_files/spec.py``."""

    @property
    def architecture(self) -> str: ...
    @property
    def vocab_size(self) -> int: ...
    @property
    def hidden_size(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...
    @property
    def kv_heads(self) -> int: ...
    @property
    def key_size(self) -> int: ...
    @property
    def value_size(self) -> int: ...
    @property
    def rotary_size(self) -> int: ...
    @property
    def rotary_layout(self) -> str: ...
    @property
    def ffn_size(self) -> int: ...
    @property
    def norm_epsilon(self) -> float: ...
    @property
    def rope_theta(self) -> float: ...
    @property
    def tensors(self) -> Mapping[str, _TensorSpec]: ...

class LoadingStopped(Exception):
    """`progress` returned False."""

class ThreadPool:
    """Threads that compute for one caller at a time, the caller's among them."""

    def __init__(self, threads: int) -> None:
        """1 to 1024 threads. Raises: ValueError, RuntimeError."""
    @property
    def threads(self) -> int: ...
    def resize(self, threads: int) -> None:
        """Go on with so many threads, while nothing else uses the pool. Raises: ValueError, RuntimeError."""

def measure_speed(pool: ThreadPool, type: int, seconds: float, cpu: str = "auto") -> tuple[float, float]:
    """Multiplies with a matrix of the weight type `type` (ggml's number) that no cache holds, for about `seconds`.

    Returns the bytes of weights that a pass of one token reads in a second, and the products of a weight and an
    activation that a pass of many tokens computes in a second.

    Raises: ValueError for an unknown type, MemoryError.
    """

class Model:
    """A network with its weights, and the keys and values of a number of slots."""

    def __init__(
        self,
        pool: ThreadPool,
        spec: _ModelSpec,
        *,
        context: int,
        slots: int,
        cpu: str = "auto",
        progress: Callable[[int], bool] | None = None,
    ) -> None:
        """Reads the weights. Each slot holds up to `context` positions.

        `progress` gets the bytes read so far, in this thread, at most 20 times a second; False stops the loading.

        Raises: ValueError, RuntimeError, MemoryError; LoadingStopped; what `progress` raises.
        """
    def forward(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> SupportsDLPack:
        """Reads (slot, position, token) rows in one pass; returns logits, float32 (wanted rows, vocab).

        Raises: ValueError, MemoryError.
        """
    def copy(self, source: int, target: int, count: int) -> None:
        """Makes the first `count` positions of a slot those of another; what else the target held is lost.

        Raises: ValueError, MemoryError.
        """
    def truncate(self, slot: int, kept: int) -> None:
        """Gives back the memory of a slot's positions but the first `kept`. Raises: ValueError."""
    def cache_bytes(self, count: int) -> int:
        """Bytes of `count` positions, a multiple of 16, for `read_cache` and `write_cache`. Raises: ValueError."""
    def read_cache(self, slot: int, start: int, count: int) -> bytes:
        """The keys and values of `count` positions from `start` on, both multiples of 16, in the memory's own order.

        They mean something to a model of the same weights, cache type and kernels only.

        Raises: ValueError, MemoryError.
        """
    def write_cache(self, slot: int, start: int, count: int, data: bytes) -> None:
        """Puts what `read_cache` returned into a slot; positions behind it are undefined afterwards.

        Raises: ValueError, MemoryError.
        """
    @property
    def kernels(self) -> str: ...

class Matrix:
    """A matrix of weights alone, without a network: what it holds, and how fast this processor multiplies with it."""

    def __init__(self, pool: ThreadPool, tensor: _TensorSpec, *, cpu: str = "auto") -> None:
        """Reads a tensor of two dimensions. Raises: ValueError, RuntimeError, MemoryError."""
    def row(self, index: int) -> SupportsDLPack:
        """The values of a row, float32 (columns). Raises: ValueError, MemoryError."""
    def multiply(self, x: SupportsDLPack) -> SupportsDLPack:
        """x, float32 (tokens, columns), times the transposed matrix: float32 (tokens, rows).

        Weights that are not float are multiplied with activations rounded to 8 bits, a scale for 32 columns.

        Raises: ValueError, MemoryError; TypeError if x is of another kind.
        """

class Sampler:
    """Samples the tokens of one answer, by `sample`. Holds the parameters and the tokens so far."""

    def __init__(
        self,
        prompt: Sequence[int],
        *,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        min_p: float = 0.0,
        repetition_penalty: float = 1.0,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
        bias: Sequence[tuple[int, float]] = (),
        seed: int = 0,
        answer: int = 0,
        top_logprobs: int = -1,
    ) -> None: ...
    def note(self, token: int) -> None:
        """Notes a token of the answer that was not sampled."""

def sample(
    pool: ThreadPool,
    logits: SupportsDLPack,
    requests: Sequence[tuple[Sampler, int, Sequence[int], Sequence[array[int] | SupportsDLPack | None]]],
) -> list[list[tuple[int, float, list[tuple[int, float]]]]]:
    """Samples for (sampler, first row, draft, masks) requests, at the same time.

    For each, the tokens as (token, log probability, likeliest tokens): the one after the first row, and one more for
    each token of the draft that was sampled. The token is -1 if the row's mask allows none. `logits` is float32 (rows,
    vocab), writable, and left as it was. `masks` is empty, or has for each row None or ceil(vocab / 32) words of 32
    bits, bit ``id % 32`` of word ``id // 32`` set if the token is allowed.

    Raises: ValueError.
    """

def kernels() -> list[str]:
    """Names of the kernels that this processor can run, the fastest first."""

def check(spec: _ModelSpec) -> None:
    """Raises: ValueError if the core cannot run a spec, and says why; RuntimeError if its files cannot be read."""
