"""Tables of the measured figures: medians with their range, and ratios."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from .measures import Figure

PEERS = ("llama.cpp", "llama.cpp-best", "chatglm-cpp", "memory")


class Results:
    """Figures of sides, round by round."""

    def __init__(self, figures: Mapping[str, Figure], peers: Sequence[str] = PEERS) -> None:
        """`peers` are the sides that the others are compared with."""
        self.figures = figures
        self._peers = peers
        self.sides: list[str] = []  # in the order of their first figure
        self.kernels: dict[str, str] = {}
        """What a side computes with, where it says so; headings name it."""
        self._rounds: dict[tuple[str, str], dict[int, float]] = {}

    def add(self, round_: int, side: str, values: Mapping[str, float]) -> None:
        """Notes figures by their keys."""
        if side not in self.sides:
            self.sides.append(side)
        for key, value in values.items():
            self._rounds.setdefault((key, side), {})[round_] = value

    def values(self, key: str, side: str) -> list[float]:
        """A figure of a side in the order of the rounds, without those that it missed."""
        rounds = self._rounds.get((key, side), {})
        return [rounds[number] for number in sorted(rounds)]

    def ratios(self, key: str, side: str, peer: str) -> list[float]:
        """How many times as fast as the peer (or as small), round by round.

        The two figures of a round are measured minutes apart at most. A slow phase of the machine slows down both, so
        their ratio varies less than either.
        """
        ours, theirs = (self._rounds.get((key, name), {}) for name in (side, peer))
        speed = self.figures[key].speed
        return [(ours[number] / theirs[number]) ** speed for number in sorted(ours.keys() & theirs.keys())]

    def table(self) -> list[list[str]]:
        """A row a figure, a column a side, the first row the headings."""
        rows = [["median (least-most)", "", *map(self._heading, self.sides)]]
        for key, figure in self.figures.items():
            cells = [_spread(self.values(key, side)) for side in self.sides]
            if any(cells):
                rows.append([figure.label, figure.unit, *cells])
        return rows

    def ratio_table(self) -> list[list[str]]:
        """The ratios of every other side to each peer; without a peer, the headings alone."""
        peers = [peer for peer in self._peers if peer in self.sides]
        pairs = [(side, peer) for side in self.sides if side not in peers for peer in peers]
        headings = (" / ".join(map(self._heading, pair)) for pair in pairs)
        rows = [["times as fast as, or as small", *headings]]
        for key, figure in self.figures.items():
            if figure.speed and any(cells := [_spread(self.ratios(key, *pair)) for pair in pairs]):
                rows.append([figure.label, *cells])
        return rows

    def _heading(self, side: str) -> str:
        kernels = self.kernels.get(side, "")
        return side if kernels in side else f"{side} ({kernels})"

    def as_json(self) -> dict[str, Any]:
        """All figures of all rounds."""
        return {
            key: {
                "label": figure.label,
                "unit": figure.unit,
                "sides": {side: values for side in self.sides if (values := self.values(key, side))},
            }
            for key, figure in self.figures.items()
        }


def render(rows: Sequence[Sequence[str]], markdown: bool) -> str:
    """A table as text or as Markdown; all columns but the first are aligned right."""
    if markdown:
        rule = ["---", *["---:"] * (len(rows[0]) - 1)]
        return "\n".join(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def number(value: float) -> str:
    """Three digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return ""
    middle = number(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({number(min(values))}-{number(max(values))})"
