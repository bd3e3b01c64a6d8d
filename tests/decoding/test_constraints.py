"""Masks as memory, and the forced prefix against the set of its prefixes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix, begins_with_any
from chatglm_server.decoding.constraints.thought_budget import ThoughtBudget
from tests.token_level import OnlyTokens

FEW = st.lists(st.integers(0, 2), min_size=1, max_size=5)


@given(vocab=st.integers(1, 200), data=st.data())
def test_a_mask_is_bits_in_memory(vocab: int, data: st.DataObject) -> None:
    """Others write it by its address, as bytes: bit ``id % 8`` of byte ``id // 8``."""
    tokens = data.draw(st.sets(st.integers(0, vocab - 1)))
    mask, foreign = TokenMask(vocab), TokenMask(vocab)
    assert mask.nbytes == (vocab + 31) // 32 * 4
    memory = (ctypes.c_uint8 * foreign.nbytes).from_address(foreign.address)
    for token in tokens:
        mask.allow(token)
        memory[token >> 3] |= 1 << (token & 7)
    assert list(mask) == list(foreign) == sorted(tokens)
    assert mask.words == foreign.words
    assert all((token in mask) == (token in tokens) for token in range(vocab))


def test_a_mask_has_no_bits_beyond_its_words() -> None:
    with pytest.raises(IndexError):
        TokenMask(64).allow(64)


def allowed(constraint: ForcedPrefix) -> set[int]:
    mask = TokenMask(3)
    constraint.fill(mask)
    return set(mask)


@given(prefixes=st.lists(FEW, min_size=1, max_size=5), data=st.data())
def test_a_forced_prefix_goes_along_its_prefixes(prefixes: list[list[int]], data: st.DataObject) -> None:
    constraint, tokens = ForcedPrefix(prefixes), list[int]()
    while not constraint.done:
        assert not begins_with_any(tokens, prefixes)
        going = [prefix for prefix in prefixes if prefix[: len(tokens)] == tokens]
        following = {prefix[len(tokens)] for prefix in going}
        assert allowed(constraint) == following
        forced = constraint.forced()
        assert bool(forced) == (len(following) == 1)
        step = forced or [data.draw(st.sampled_from(sorted(following)))]
        constraint.accept(step)
        constraint.rollback(len(step))
        assert allowed(constraint) == following, "as before"
        constraint.accept(step)
        tokens += step
    assert begins_with_any(tokens, prefixes)
    constraint.rollback(len(tokens))
    assert not constraint.done


class Words:
    """A tokenizer in which a token is a word; the tag's end is of two tokens, or special. The last word is a blank."""

    size, longest_token = 8, 4
    texts = ("", "", "a", "b", "</", "t>", ".", " ")

    def __init__(self) -> None:
        self.specials = {"<t>": 0, "</t>": 1}

    def encode_text(self, text: str) -> list[int]:
        raise NotImplementedError

    def token_bytes(self, token: int) -> bytes:
        return self.texts[token].encode()

    def piece(self, token: int) -> str:
        return self.texts[token]


def spelled(words: Words, tokens: Sequence[int]) -> str:
    names = {token: name for name, token in words.specials.items()}
    return "".join(names.get(token) or words.texts[token] for token in tokens)


@given(
    inside=st.booleans(),
    budget=st.integers(0, 5),
    closing=st.sampled_from([(6, 1), (6, 4, 5)]),
    inner=st.booleans(),
    data=st.data(),
)
def test_a_thought_has_at_most_its_budget(
    inside: bool, budget: int, closing: tuple[int, ...], inner: bool, data: st.DataObject
) -> None:
    words = Words()
    everything = OnlyTokens(range(words.size)) if inner else None
    constraint = ThoughtBudget(words, budget, closing, ("<t>", "</t>"), inside=inside, inner=everything)
    tokens: list[int] = []
    while len(tokens) < 20 and not constraint.done:
        mask = TokenMask(words.size)
        if not constraint.free:
            constraint.fill(mask)
        allowed = list(mask) or list(range(words.size))
        forced = constraint.forced()
        assert list(forced[:1]) == (allowed if forced else [])
        step = forced or [data.draw(st.sampled_from(allowed))]
        constraint.accept(step)
        constraint.rollback(len(step))
        assert list(constraint.forced()) == list(forced), "as before"
        constraint.accept(step)
        tokens += step
    begun = [token for token in tokens if words.texts[token] != " "][:1]
    if not inside and begun != [0]:
        assert not constraint.forced(), "a mark behind text opens no thought"
    else:
        start = 0 if inside else tokens.index(0) + 1
        over = tokens[start + budget :][: len(closing)]
        assert "</t>" in spelled(words, tokens[start : start + budget]) or tuple(over) == closing[: len(over)]
