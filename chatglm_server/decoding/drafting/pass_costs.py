"""How long a forward pass takes by its number of rows, learned from the passes that are run."""

from __future__ import annotations

import math
from bisect import bisect_right

MOST_ROWS = 64
"""Longer passes read prompts, and say nothing about drafts."""

_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20, 24, 32, 48, MOST_ROWS)
# Measured with Q4_K_M on AVX2. Four rows are read with each unpacked weight, so that the fifth costs most.
_FIRST_GUESS = (1.0, 1.14, 1.2, 1.3, 1.95, 2.2, 2.4, 2.55, 3.0, 3.6, 4.7, 5.8, 6.5, 8.5, 12.5, 16.5)
_COMMON = 0.3  # of a pass's deviation, what is taken as one of all passes: the depth of contexts, a busy machine
_OWN = 0.1  # and what at least as one of its own number of rows
_PLAIN_EVERY = 24  # passes, more often at first: nothing else tells whether drafts or longer contexts take the time
_MOST_DEVIATION = math.log(2)  # of one pass, which may just have been interrupted


class PassCosts:
    """Seconds of a pass: a common factor times a curve of straight pieces over the rows.

    Both follow the passes, the factor faster. So all of the curve moves when contexts grow, also where no pass was.
    """

    def __init__(self) -> None:
        self._factor = 0.0
        self._curve = list(_FIRST_GUESS)
        self._noted = [0.0] * len(self._curve)
        self._plain = 0  # passes without drafts
        self._drafted = 0  # passes with them since the last one without

    def time(self, rows: int) -> float:
        """The time of a pass of `rows` rows, in an unknown unit. The last piece of the curve goes on without end."""
        place, share = _piece(rows)
        return self._curve[place] + share * (self._curve[place + 1] - self._curve[place])

    @property
    def needs_plain_pass(self) -> bool:
        """True if the next pass should have no drafts, so that both kinds can be compared."""
        return self._drafted > min(self._plain, _PLAIN_EVERY)

    def note(self, rows: int, seconds: float, drafted: int) -> None:
        """Learn from one pass, of whose rows `drafted` were those of drafts. Mutates the costs."""
        self._plain += not drafted
        self._drafted = self._drafted + 1 if drafted else 0
        if not (1 <= rows <= MOST_ROWS and seconds > 0):
            return
        if not self._factor:
            self._factor = seconds / self.time(rows)
        deviation = math.log(seconds / (self._factor * self.time(rows)))
        deviation = max(-_MOST_DEVIATION, min(_MOST_DEVIATION, deviation))
        self._factor *= math.exp(_COMMON * deviation)
        place, share = _piece(rows)
        for knot, weight in ((place, 1 - share), (place + 1, share)):
            gain = max(_OWN, 1 / (2 + self._noted[knot]))
            self._noted[knot] += weight
            self._curve[knot] *= math.exp(gain * weight * deviation)


def first_guess(rows: float) -> float:
    """The time of a pass before any was run, relative to that of one row."""
    place, share = _piece(rows)
    return _FIRST_GUESS[place] + share * (_FIRST_GUESS[place + 1] - _FIRST_GUESS[place])


def _piece(rows: float) -> tuple[int, float]:
    """The piece of the curve that holds `rows`, and where in it."""
    place = min(bisect_right(_ROWS, rows), len(_ROWS) - 1) - 1
    return place, (rows - _ROWS[place]) / (_ROWS[place + 1] - _ROWS[place])
