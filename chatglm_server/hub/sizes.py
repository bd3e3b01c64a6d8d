"""Sizes for people."""

from __future__ import annotations


def size_text(size: int) -> str:
    """`size` bytes as "6.17 GB" or, below a tenth of that unit, "12.3 MB" or "4.5 kB"; units are powers of 1,000."""
    if size >= 10**8:
        return f"{size / 1e9:.2f} GB"
    return f"{size / 1e6:.1f} MB" if size >= 10**5 else f"{size / 1e3:.1f} kB"
