"""The compute core: ChatGLM2, ChatGLM3 and GLM-4 on a CPU."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

class _Logits:  # what `forward` returns; the module has no such name
    """float32 (rows, vocab), by DLPack and the buffer protocol."""

    def __dlpack__(self, **options: Any) -> Any: ...
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
    def forward(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> _Logits:
        """Reads (slot, position, token) rows in one pass; returns the logits after the wanted ones.

        Raises: ValueError, MemoryError.
        """
    def copy(self, source: int, target: int, count: int) -> None:
        """Makes the first `count` positions of a slot those of another; what else the target held is lost.

        Raises: ValueError, MemoryError.
        """
    def truncate(self, slot: int, kept: int) -> None:
        """Gives back the memory of a slot's positions but the first `kept`. Raises: ValueError."""
    @property
    def kernels(self) -> str: ...

class Sampler:
    """Draws the tokens of one sequence from its logits."""

    def __init__(
        self,
        prompt: Sequence[int],
        *,
        temperature: float,
        top_k: int,
        top_p: float,
        min_p: float,
        repetition_penalty: float,
        presence_penalty: float,
        frequency_penalty: float,
        bias: Sequence[tuple[int, float]],
        seed: int,
        top_logprobs: int,
    ) -> None: ...
    def sample(
        self, logits: _Logits, row: int, allowed: Sequence[int] = ()
    ) -> tuple[int, float, list[tuple[int, float]]]:
        """Draws from a row of logits, which it changes: (token, log probability, likeliest tokens)."""
    def note(self, token: int) -> None:
        """Takes note of a token of the answer that was not drawn."""

def kernels() -> list[str]:
    """Names of the kernels that this processor can run, the fastest first."""

def check(spec: _ModelSpec) -> None:
    """Raises: ValueError if the core cannot run a spec, and says why; RuntimeError if its files cannot be read."""
