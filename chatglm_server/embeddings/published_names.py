"""Names of published embedding models that clients ask for, and the size of their vectors (their model cards)."""

from __future__ import annotations

from collections.abc import Iterable

DIMENSIONS = {
    "text2vec-base-chinese": 768,
    "text2vec-base-chinese-paraphrase": 768,
    "text2vec-base-chinese-sentence": 768,
    "text2vec-large-chinese": 1024,
    "text2vec-base-multilingual": 384,
    "paraphrase-multilingual-MiniLM-L12-v2": 384,
    "all-MiniLM-L12-v2": 384,
}


def names_that_fit(names: Iterable[str], dimensions: int) -> tuple[str, ...]:
    """`names` without those of published models whose vectors have another size."""
    return tuple(name for name in names if DIMENSIONS.get(name, dimensions) == dimensions)
