"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from .wrapped_text import wrapped

_GAP = "  "


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equal length with their columns aligned, the last one within the terminal's width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        start = "".join(cell.ljust(width) + _GAP for cell, width in zip(cells, widths, strict=False))
        print((start + wrapped(last, len(start))).rstrip())
