"""Ranking of keywords, on vectors small enough to work out by hand; and what counts as a word."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.embeddings.keywords import find_words, rank

DOCUMENT = np.array([1, 0, 0], dtype=np.float32)
WORDS = np.array([[3, 1, 0], [3, 1.1, 0], [1, 0, 1], [0, 1, 0]], dtype=np.float32)
"""Two that are close to the document and each other, one on its other side, one that has nothing to do with it."""


def test_most_similar() -> None:
    ranked = rank(DOCUMENT, WORDS, 3)
    assert [number for number, _ in ranked] == [0, 1, 2]
    assert [score for _, score in ranked] == pytest.approx([3 / 10**0.5, 3 / 10.21**0.5, 0.5**0.5], abs=1e-6)


def test_maximal_marginal_relevance() -> None:
    assert {number for number, _ in rank(DOCUMENT, WORDS, 2, diversity=0.5)} == {0, 2}
    assert rank(DOCUMENT, WORDS, 3, diversity=0) == rank(DOCUMENT, WORDS, 3)
    assert sorted(number for number, _ in rank(DOCUMENT, WORDS, 9, diversity=0.5)) == [0, 1, 2, 3]


def test_vectors_of_length_zero() -> None:
    for diversity in (None, 0.5):
        ranked = rank(np.zeros(3, np.float32), np.zeros((2, 3), np.float32), 5, diversity)
        assert ranked == [(0, 0.0), (1, 0.0)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Cat and the cat's C++ hat, 2020", ["cat", "hat", "2020"]),
        ("我来到北京清华大学", ["来到", "北京", "清华大学"]),
        ("用Python写代码", ["python", "代码"]),
        ("", []),
        ("的 了 a . !", []),
    ],
)
def test_words_of_a_text(text: str, words: list[str]) -> None:
    assert find_words(text) == words


@pytest.mark.parametrize(
    ("text", "vocabulary", "words"),
    [
        ("A start", ["art", "start", "a"], ["start", "a"]),
        ("state of the Art.", ["art", "State of the art", "art"], ["art", "State of the art"]),
        ("机器学习", ["学习", "机器", "网络"], ["学习", "机器"]),
        ("C++ (and C)", ["c++", "C", "(and"], ["c++", "C", "(and"]),
        ("anything", ["", " "], []),
    ],
)
def test_words_of_a_vocabulary(text: str, vocabulary: list[str], words: list[str]) -> None:
    assert find_words(text, vocabulary) == words


@given(st.text(max_size=200))
def test_any_text(text: str) -> None:
    words = find_words(text)
    assert len(set(words)) == len(words)
    assert all(word in text.lower() for word in words)


def test_a_dictionary_that_others_may_have_written_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "jieba.cache").write_bytes(b"not what jieba would write")
    before = sorted(path.name for path in tmp_path.iterdir())
    code = "from chatglm_server.embeddings.keywords import find_words; print(find_words('我来到北京'))"
    result = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert result.stdout == "['来到', '北京']\n"
    assert result.stderr == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == before
