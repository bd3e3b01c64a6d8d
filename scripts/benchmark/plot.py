"""The figures as bars: a panel for each figure, a bar for each side, a line for the bound of memory."""

from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure as Canvas

from .measures import Figure
from .report import Results, number

_COLUMNS = 4
_COLORS = {"chatglm-cpp": "#b0b0b0", "llama.cpp": "#707070"}
_OURS = "#2a6fbb"


def draw(results: Results, path: Path, title: str) -> None:
    """Writes the plot in the format of the name's suffix. Raises: ValueError, OSError."""
    mpl.rcParams["svg.hashsalt"] = title  # so that the same figures give the same file
    sides = [side for side in results.sides if side != "memory"]
    keys = [key for key in results.figures if any(results.values(key, side) for side in sides)]
    rows = -(-len(keys) // _COLUMNS)
    canvas = Canvas(figsize=(4 * min(len(keys), _COLUMNS), 2.6 * rows + 0.6), layout="constrained")
    canvas.suptitle(title)
    for place, key in enumerate(keys):
        axes = canvas.add_subplot(rows, min(len(keys), _COLUMNS), place + 1)
        shown = [side for side in sides if results.values(key, side)]
        for height, side in enumerate(shown):
            values = results.values(key, side)
            middle = statistics.median(values)
            spread = [[middle - min(values)], [max(values) - middle]]
            axes.barh(height, middle, xerr=spread, capsize=3, color=_COLORS.get(side, _OURS))
            axes.annotate(f" {number(middle)}", (max(values), height), va="center", fontsize=8)
        if bound := results.values(key, "memory"):
            axes.axvline(statistics.median(bound), color="black", linestyle=":")
        axes.set_yticks(range(len(shown)), shown, fontsize=8)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_title(_heading(results.figures[key], bool(bound)), fontsize=9)
    canvas.savefig(path)


def _heading(figure: Figure, bounded: bool) -> str:
    notes = [figure.unit]
    if figure.speed < 0:
        notes.append("less is better")
    if bounded:
        notes.append("dotted: memory's bound")
    return f"{figure.label} ({', '.join(notes)})"
