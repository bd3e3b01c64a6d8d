"""How often a guessed token is right, by how many tokens before it agreed with the place that the guess is from."""

from __future__ import annotations

from bisect import bisect_right

# Agreeing tokens, and the chance to begin with: about what edits of code, quotations and prose have.
_CHANCES = {0: 0.3, 1: 0.4, 2: 0.5, 3: 0.5, 4: 0.6, 6: 0.75, 8: 0.85, 12: 0.92, 16: 0.95, 24: 0.97}
_CLASSES = tuple(_CHANCES)
_WEIGHT = 6.0  # outcomes that the first chance counts for
_KEPT = 0.96  # of the weight of earlier outcomes, with each new one


class Acceptance:
    """Outcomes of one answer's drafts, the latest counting most."""

    def __init__(self) -> None:
        self._right = [_WEIGHT * chance for chance in _CHANCES.values()]
        self._all = [_WEIGHT] * len(_CHANCES)

    def chance(self, agreed: int) -> float:
        """That a token is right after `agreed` tokens that were."""
        place = bisect_right(_CLASSES, agreed) - 1
        return self._right[place] / self._all[place]

    def note(self, agreed: int, *, right: bool) -> None:
        """Learn from one token. Mutates the acceptance."""
        place = bisect_right(_CLASSES, agreed) - 1
        self._right[place] = _KEPT * self._right[place] + right
        self._all[place] = _KEPT * self._all[place] + 1
