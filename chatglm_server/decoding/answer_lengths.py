"""How long answers get, judged by those that came lately."""

from __future__ import annotations

from collections import deque

_KEPT = 64
_FIRST_GUESS = 256  # tokens, until an answer has ended


class AnswerLengths:
    """The lengths of the latest answers, in tokens. Of one that was cut off it is known only that it is longer."""

    def __init__(self) -> None:
        self._ends: deque[tuple[int, bool]] = deque(maxlen=_KEPT)

    def note(self, length: int, *, cut: bool) -> None:
        """An answer has ended: by itself, or it was `cut` by its limit or its client. Mutates the lengths."""
        if length > 0:
            self._ends.append((length, cut))

    def left(self, written: int, room: int) -> float:
        """Tokens that an answer with `written` ones and room for `room` more will still get: at least 1.

        The mean of Kaplan and Meier's estimator (1958), which takes cut answers into account. Beyond the longest answer
        that it knows, it assumes an end at 1.5 times that length, and at the first guess at least if that answer was
        cut.
        """
        ends = sorted(self._ends) or [(_FIRST_GUESS, False)]
        longest, was_cut = ends[-1]
        most = min(written + room, max(longest * 3 // 2, written * 3 // 2, _FIRST_GUESS if was_cut else 0))
        expected, share, at = 0.0, 1.0, written
        for place, (length, cut) in enumerate(ends):
            if length <= written:
                continue
            if length >= most:
                break
            expected += share * (length - at)
            at = length
            if not cut:
                share *= 1 - 1 / (len(ends) - place)
        return max(1.0, expected + share * (most - at))
