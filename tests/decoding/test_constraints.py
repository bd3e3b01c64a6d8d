"""Masks as memory, and the forced prefix against the set of its prefixes."""

from __future__ import annotations

import ctypes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.decoding.constraints.base import TokenMask
from chatglm_server.decoding.constraints.forced_prefix import ForcedPrefix, begins_with_any

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
