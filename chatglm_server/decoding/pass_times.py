"""Seconds that a pass takes, by its rows and how deep in their contexts these are, learned from the passes that run."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from .drafting.pass_costs import first_guess

_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512)
"""Passes of at most so many rows have a line of their own; longer ones share the last."""
_KEPT = 0.95  # of the weight of earlier passes, with each pass
_LITTLE = 128.0  # positions: depths that differ less than that say nothing about the cost of depth


@dataclass(slots=True)
class _Line:
    """The weighted least squares of a value over the depth, the slope held towards 0 while depths are all alike."""

    weight: float = 0.0
    depth: float = 0.0
    value: float = 0.0
    square: float = 0.0
    product: float = 0.0

    def note(self, depth: float, value: float) -> None:
        """Mutates the line."""
        for name, news in (
            ("weight", 1.0),
            ("depth", depth),
            ("value", value),
            ("square", depth * depth),
            ("product", depth * value),
        ):
            setattr(self, name, _KEPT * getattr(self, name) + news)

    def at(self, depth: float) -> float:
        """Never less than a quarter of the mean: a line that is known at some depths may be wrong at others."""
        mean_depth, mean = self.depth / self.weight, self.value / self.weight
        variance = max(0.0, self.square / self.weight - mean_depth**2)
        slope = max(0.0, (self.product / self.weight - mean_depth * mean) / (variance + _LITTLE**2))
        return max(mean / 4, mean + slope * (depth - mean_depth))


class PassTimes:
    """For each range of rows, a line over the depth, in seconds for each unit of the first guess. A range
    without passes goes by the nearest one that has some.
    """

    def __init__(self) -> None:
        self._lines = [_Line() for _ in _ROWS]

    @property
    def known(self) -> bool:
        """True once a pass was noted."""
        return any(line.weight for line in self._lines)

    def note(self, rows: float, depth: float, seconds: float) -> None:
        """Learn from a pass of `rows` rows, on average `depth` positions behind the beginnings. Mutates the times."""
        if rows >= 1 and seconds > 0:
            self._lines[_range_of(rows)].note(depth, seconds / first_guess(rows))

    def seconds(self, rows: float, depth: float) -> float:
        """The time of such a pass. Some pass has to be known."""
        place = _range_of(rows)
        known = [at for at, line in enumerate(self._lines) if line.weight]
        nearest = min(known, key=lambda at: abs(at - place))
        return self._lines[nearest].at(depth) * first_guess(rows)


def _range_of(rows: float) -> int:
    return min(bisect_left(_ROWS, rows), len(_ROWS) - 1)
