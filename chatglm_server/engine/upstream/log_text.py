"""The words of other servers, as a line of the log may hold them."""

from __future__ import annotations

MOST_CHARACTERS = 500


def in_a_line(text: str) -> str:
    """Returns `text` in one line of bounded length: it can neither forge another line nor steer a terminal."""
    shown = "".join(character if character.isprintable() else " " for character in text[:MOST_CHARACTERS])
    return shown + "…" if len(text) > MOST_CHARACTERS else shown
