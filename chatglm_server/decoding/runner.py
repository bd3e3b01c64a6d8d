"""The contract between the scheduler and a model that samples its own tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from ..errors import ModelFailure
from ..sampling import SamplingParams
from .constraints.base import Constraint
from .snapshots.snapshots import Snapshots


class Sampler(Protocol):
    """Samples the tokens of one answer. Only the runner that made it uses it further."""

    def note(self, token: int) -> None:
        """Note a token of the answer that was not sampled. Mutates the sampler."""
        ...


class SampledToken(NamedTuple):
    """A token, the natural logarithm of its probability, and the likeliest tokens with theirs, if wanted.

    A forced token has the logarithm 0 and no likeliest tokens.
    """

    token: int
    logprob: float = 0.0
    top: Sequence[tuple[int, float]] = ()


class PromptProgress(NamedTuple):
    """So many tokens of a prompt are read, those from the cache among them; it took `seconds` so far."""

    read: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """The work of one pass for one sequence: it reads `tokens`, from `position` on, into the KV cache of `slot`.

    If `samples`, the next token is sampled, and further ones as far as `draft` turns out right. `sampler` is one that
    the runner made.
    """

    slot: int
    position: int
    tokens: Sequence[int]
    sampler: Any
    samples: bool
    draft: Sequence[int] = ()
    constraint: Constraint | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """The result of a pass for one sequence. All `sampled` tokens but the last were drafted, and the slot holds them.

    The constraint puts the `forced` tokens behind them. Both are empty if the step does not sample.
    `drafted` is how many tokens of the draft the pass has read: all, or as many as the constraint allows.
    """

    sampled: Sequence[SampledToken] = ()
    forced: Sequence[int] = ()
    drafted: int = 0


class Runner(Protocol):
    """A model that samples, and the KV caches of some sequences. One thread at a time may call it.

    `vocab_size`, `slots`, `chunk`, `reuses_prefixes`, `truncate` and `copy` are as for `Model`.
    """

    @property
    def vocab_size(self) -> int: ...
    @property
    def slots(self) -> int: ...
    @property
    def chunk(self) -> int: ...
    @property
    def reuses_prefixes(self) -> bool: ...
    @property
    def snapshots(self) -> Snapshots | None:
        """The prefixes on disk; None if the runner keeps none."""
        ...

    @property
    def verifies_drafts(self) -> bool:
        """True if a step may have a draft."""
        ...

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> Sampler:
        """A sampler for the answer number `answer`, from 0, to `prompt`."""
        ...

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        """One pass over different sequences: the result of each, or what keeps its answer from going on.

        Mutates the KV caches, the samplers and the constraints. A slot then holds the tokens that its step read, and
        the drafted tokens that were sampled; if the step failed, only the former.

        Raises: ModelFailure if the pass failed as a whole.
        """
        ...

    def truncate(self, slot: int, kept: int) -> None: ...
    def copy(self, source: int, target: int, count: int) -> None: ...
