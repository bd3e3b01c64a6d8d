"""Keywords of a text: its words, ranked by how alike their vectors are to the text's (KeyBERT's method).

Chinese is cut into words by jieba. Words are those of KeyBERT's default: two characters or more, in lower case, no
English stop word.
"""

from __future__ import annotations

import functools
import logging
import re
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_WORD = re.compile(r"\w\w+")
_TINY = 1e-12


def find_words(text: str, vocabulary: Sequence[str] | None = None) -> list[str]:
    """The different words of `text`, or of `vocabulary` those that occur in it; each once, in order."""
    if vocabulary is not None:
        lowered = text.lower()
        return list(dict.fromkeys(word for word in vocabulary if _occurs(word.strip().lower(), lowered)))
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words = (word for part in _segmenter().cut(text.lower()) for word in _WORD.findall(part))
    return [word for word in dict.fromkeys(words) if word not in ENGLISH_STOP_WORDS]


def rank(
    document: NDArray[np.float32], words: NDArray[np.float32], top: int, diversity: float | None = None
) -> list[tuple[int, float]]:
    """Numbers of the best rows of `words` and their cosine similarity to `document`, most similar first.

    `document` is one vector, `words` one a row. With `diversity`, words are chosen by maximal marginal relevance
    (Carbonell & Goldstein 1998, λ = 1 - diversity): each the one that is most like the document and least like those
    chosen before.
    """
    import numpy as np

    words = words / np.linalg.norm(words, axis=1, keepdims=True).clip(_TINY)
    relevance = words @ (document / max(float(np.linalg.norm(document)), _TINY))
    if diversity is None:
        chosen = np.argsort(-relevance, kind="stable")[:top].tolist()
    else:
        chosen = _maximal_marginal_relevance(words, relevance, top, 1 - diversity)
        chosen.sort(key=lambda number: -relevance[number])
    return [(number, float(relevance[number])) for number in chosen]


def _maximal_marginal_relevance(
    words: NDArray[np.float32], relevance: NDArray[np.float32], top: int, weight: float
) -> list[int]:
    import numpy as np

    chosen = [int(relevance.argmax())]
    nearest = words @ words[chosen[0]]  # of each word, the similarity to the most similar chosen one
    while len(chosen) < min(top, len(words)):
        score = weight * relevance - (1 - weight) * nearest
        score[chosen] = -np.inf
        chosen.append(int(score.argmax()))
        nearest = np.maximum(nearest, words @ words[chosen[-1]])
    return chosen


def _occurs(word: str, text: str) -> bool:
    """True if `word` is in `text`; a Latin word not as a part of another one, while Chinese has no blanks."""
    if not word:
        return False
    start = r"(?<![a-z0-9_])" if re.match(r"[a-z0-9_]", word) else ""
    end = r"(?![a-z0-9_])" if re.search(r"[a-z0-9_]\Z", word) else ""
    return re.search(start + re.escape(word) + end, text) is not None


@functools.cache
def _segmenter() -> Any:
    """jieba with its dictionary, built anew: the cache it keeps in the shared folder for temporary files could be
    written by anyone."""
    import jieba

    jieba.setLogLevel(logging.WARNING)
    segmenter = jieba.Tokenizer()
    with tempfile.TemporaryDirectory() as private:
        segmenter.tmp_dir = private
        segmenter.initialize()
    return segmenter
