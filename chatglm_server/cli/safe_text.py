"""Text of models and servers as a terminal may show it."""

from __future__ import annotations

_KEPT = "\n\t"
_C0 = {code: 0x2400 + code for code in range(0x20) if chr(code) not in _KEPT}
_UNSEEN = [
    *range(0x80, 0xA0),  # C1: some terminals take them for escape sequences
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # they turn the order of the text
    *range(0xD800, 0xE000),  # halves of surrogate pairs: no output can hold them
]
_SHOWN = {**_C0, 0x7F: 0x2421, **dict.fromkeys(_UNSEEN, 0xFFFD)}


def printable(text: str) -> str:
    """`text` without what would steer a terminal: control characters become their pictures, others U+FFFD.

    Line breaks and tabs stay. Text may be cut anywhere before.
    """
    return text.translate(_SHOWN)
