"""Byte-pair encoding: which pairs of symbols to join, learned from counted words."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import TypeVar

Symbol = TypeVar("Symbol", str, bytes)


def learn_merges(words: Mapping[tuple[Symbol, ...], int], count: int) -> list[Symbol]:
    """The `count` most frequent joined pairs, in the order in which they are to be joined.

    `words` maps sequences of symbols to how often they occur; ties are broken by the symbols' order.
    """
    spelled = [list(word) for word in words]
    weights = list(words.values())
    pairs: Counter[tuple[Symbol, Symbol]] = Counter()
    places: defaultdict[tuple[Symbol, Symbol], set[int]] = defaultdict(set)
    for index, word in enumerate(spelled):
        for pair in itertools.pairwise(word):
            pairs[pair] += weights[index]
            places[pair].add(index)
    merges: list[Symbol] = []
    while len(merges) < count and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        if pairs[best] < 2:
            break
        joined = best[0] + best[1]
        if joined not in merges:
            merges.append(joined)
        for index in places.pop(best):
            word = spelled[index]
            for pair in itertools.pairwise(word):
                pairs[pair] -= weights[index]
            spelled[index] = word = _join(word, best)
            for pair in itertools.pairwise(word):
                pairs[pair] += weights[index]
                places[pair].add(index)
        del pairs[best]
    return merges


def _join(word: list[Symbol], pair: tuple[Symbol, Symbol]) -> list[Symbol]:
    made: list[Symbol] = []
    index = 0
    while index < len(word):
        if tuple(word[index : index + 2]) == pair:
            made.append(pair[0] + pair[1])
            index += 2
        else:
            made.append(word[index])
            index += 1
    return made
