"""Tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path


def print_table(rows: Sequence[tuple[str, ...]]) -> None:
    """Print rows of equal length with their columns aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def path_text(path: Path) -> str:
    """`path`, with ``~`` for the user's home folder."""
    with suppress(RuntimeError, ValueError):  # there is none; it is elsewhere
        return str(Path("~") / path.relative_to(Path.home()))
    return str(path)
