"""An answer that has to begin in one of some ways: as a call of one of the tools that are to be called."""

from __future__ import annotations

from collections.abc import Sequence


class Openings:
    """A mask for `AnswerSequence`: the tokens that go on along some opening; where they part, the model chooses."""

    def __init__(self, openings: Sequence[Sequence[int]]) -> None:
        """`openings` as tokens; at least one."""
        self._openings = [list(opening) for opening in openings]
        self.longest = max(map(len, openings))
        """Tokens that the longest one has."""

    def __call__(self, answer: list[int]) -> list[int]:
        going = [opening for opening in self._openings if opening[: len(answer)] == answer]
        if any(len(opening) == len(answer) for opening in going):
            return []
        return list(dict.fromkeys(opening[len(answer)] for opening in going))
