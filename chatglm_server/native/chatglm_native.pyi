"""The compute core: ChatGLM2, ChatGLM3 and GLM-4 on a CPU."""

from collections.abc import Sequence
from typing import Any

class Logits:
    """float32 (rows, vocab), by DLPack and the buffer protocol."""

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
    def forward(self, rows: Sequence[tuple[int, int, int]], wanted: Sequence[int]) -> Logits:
        """Reads (sequence, position, token) rows in one pass; returns the logits after the wanted ones."""
    def copy(self, source: int, target: int, count: int) -> None:
        """Makes the first positions of the target those of the source; what the target held is lost."""
    def forget(self, sequence: int) -> None:
        """Gives back the memory of a sequence's cache."""
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
        self, logits: Logits, row: int, allowed: Sequence[int] = ()
    ) -> tuple[int, float, list[tuple[int, float]]]:
        """Draws from a row of logits, which it changes: (token, log probability, likeliest tokens)."""
    def note(self, token: int) -> None:
        """Takes note of a token of the answer that was not drawn."""

def kernels() -> list[str]:
    """Names of the kernels that this processor can run, the fastest first."""
