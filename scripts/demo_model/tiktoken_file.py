"""A tiktoken vocabulary for the GLM-4 demo: lines of a token in base64 and its rank; lower ranks are joined first.

GLM-4's pattern cuts text into words before that: letters together with one mark in front of them, up to three digits,
runs of marks, runs of blanks. A word that is a token as a whole is taken as it is.
"""

from __future__ import annotations

import base64
import re
from collections import Counter

from chatglm_server.formats.glm4 import TOOL_FOOTER, TOOLS_HEADER

from .bpe import learn_merges
from .vocabulary import SMALL_WORDS, Counts, letters, most_common

_WORDS = re.compile(r"(?:[^\r\n\w]|_)?[^\W\d_]+|\d{1,3}| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
"""GLM-4's pattern as far as Python's `re` can say it."""


def build(counts: Counts, texts: Counter[str], merges: int = 1600, runs: int = 160, characters: int = 1000) -> bytes:
    """The lines. `texts` counts the text parts of rendered conversations."""
    tokens: list[bytes] = [bytes([byte]) for byte in range(256)]
    for char in most_common(counts.characters, characters):
        encoded = char.encode()
        tokens += [encoded[:end] for end in range(2, len(encoded) + 1)]
    joined = learn_merges(letters(counts.words), merges)
    tokens += [word.encode() for word in joined]
    for word in SMALL_WORDS:
        tokens.append(f" {word}".encode())
    marks: Counter[str] = Counter()
    for text, times in texts.items():
        for word in _WORDS.findall(text):
            if not any(char.isalnum() for char in word):
                marks[word] += times
    tokens += [b" " * length for length in range(2, 33)]
    tokens += [word.encode() for word in (*most_common(marks, runs), *_WORDS.findall(f"{TOOLS_HEADER}\n{TOOL_FOOTER}"))]
    ranks = list(dict.fromkeys(tokens))
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(ranks))


def texts(lines: bytes) -> list[bytes]:
    """What each rank stands for."""
    return [base64.b64decode(line.split()[0]) for line in lines.splitlines()]
