"""A model at token level, driven as the scheduler drives it, one sequence alone."""

from __future__ import annotations

from collections.abc import Sequence

from chatglm_server.decoding.model import Model, Part
from chatglm_server.sampling import SamplingParams

GREEDY = SamplingParams(temperature=0)


class Continued:
    """A sequence in the model's first slot, of which the first tokens are known to be cached."""

    def __init__(self, model: Model, prompt: list[int], cached: int = 0, sampling: SamplingParams = GREEDY) -> None:
        self.model, self.tokens, self.past = model, list(prompt), cached
        self.sampler = model.sampler(prompt, sampling)

    def read(self, most: int) -> None:
        """One pass over the next `most` tokens, all but the last."""
        tokens = self.tokens[self.past : min(self.past + most, len(self.tokens) - 1)]
        self.model.read([Part(0, self.past, tokens, self.sampler, draw=False)])
        self.past += len(tokens)

    def step(self, allowed: Sequence[int] = ()) -> int:
        """The next token, after all that has to be read for it."""
        while len(self.tokens) - self.past > self.model.chunk:
            self.read(self.model.chunk)
        (drawn,) = self.model.read(
            [Part(0, self.past, self.tokens[self.past :], self.sampler, draw=True, allowed=allowed)]
        )
        assert drawn is not None
        self.past = len(self.tokens)
        self.tokens.append(drawn.token)
        return drawn.token


def generate(model: Model, prompt: list[int], count: int, cached: int = 0) -> list[int]:
    """`count` greedy tokens."""
    sequence = Continued(model, prompt, cached)
    return [sequence.step() for _ in range(count)]
