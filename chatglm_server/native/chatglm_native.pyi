"""The compute core: ChatGLM2, ChatGLM3 and GLM-4 on a CPU."""

from array import array
from collections.abc import Sequence
from typing import Any, Protocol

class SupportsDLPack(Protocol):
    """An array, by DLPack. The module has no such name."""

    def __dlpack__(self, **options: Any) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class Model:
    """Weights and the key/value caches of a number of sequences."""

    def __init__(
        self,
        path: str,
        tensors: Sequence[tuple[str, int, int, int, int, int]],
        *,
        vocab: int,
        hidden: int,
        heads: int,
        kv_heads: int,
        layers: int,
        ffn: int,
        context: int,
        epsilon: float,
        theta: float,
        sequences: int,
        threads: int,
        cpu: str = "auto",
    ) -> None: ...
    def forward(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> SupportsDLPack:
        """Reads (sequence, position, token) rows in one pass; returns the logits after the wanted ones, float32
        (rows, vocab)."""
    def copy(self, source: int, target: int, count: int) -> None:
        """Makes the first positions of the target those of the source; what the target held is lost."""
    def forget(self, sequence: int, kept: int) -> None:
        """Gives back the memory of a sequence's positions but the first."""
    @property
    def kernels(self) -> str: ...

class ThreadPool:
    """Threads that share the work of one caller at a time."""

    def __init__(self, threads: int) -> None: ...

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
    requests: Sequence[tuple[Sampler, int, Sequence[int], Sequence[array[int] | None]]],
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
