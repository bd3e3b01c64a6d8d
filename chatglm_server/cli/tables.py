"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .wrapped_text import wrapped

_GAP = "  "


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equal length with their columns aligned, the last one within the terminal's width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for *cells, last in rows:
        start = "".join(cell.ljust(width) + _GAP for cell, width in zip(cells, widths, strict=False))
        print(wrapped(last, start).rstrip())


def path_text(path: Path) -> str:
    """`path`, with ``~`` for the user's home folder."""
    with suppress(RuntimeError, ValueError):  # no home folder, or the path is elsewhere
        return str(Path("~") / path.relative_to(Path.home()))
    return str(path)
