"""Text for people, in lines that fit the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap

_NARROWEST = 20


def wrapped(text: str, indent: int = 0) -> str:
    """`text` broken between words, its later lines behind `indent` blanks. Where stdout is no terminal: in one line."""
    if not sys.stdout.isatty():
        return text
    width = max(_NARROWEST, shutil.get_terminal_size().columns - indent)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * indent}".join(lines)
