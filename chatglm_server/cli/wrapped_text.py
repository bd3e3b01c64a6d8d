"""Text for people, in lines that fit the terminal."""

from __future__ import annotations

import shutil
import sys
import textwrap

_NARROWEST = 20


def wrapped(text: str, start: str = "") -> str:
    """`start` and `text`. On a terminal, `text` breaks between words, and its later lines begin below its first word;
    elsewhere it stays one line.
    """
    if not sys.stdout.isatty():
        return start + text
    width = max(_NARROWEST, shutil.get_terminal_size().columns - len(start))
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return start + f"\n{' ' * len(start)}".join(lines)
