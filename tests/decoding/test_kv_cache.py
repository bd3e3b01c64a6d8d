"""The caches' bookkeeping against caches that are lists: what a slot is said to hold must be what it holds."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chatglm_server.decoding.kv_cache import KVCache, Slot, common_prefix
from chatglm_server.decoding.runner import Sampler, Step, StepResult
from chatglm_server.errors import ModelFailure
from chatglm_server.sampling import SamplingParams

FEW = st.integers(0, 2)
TOKENS = st.lists(FEW, min_size=1, max_size=12)


class ListModel:
    """A model whose caches are lists: what matters here is what is copied, read and forgotten, and where."""

    vocab_size = 3
    chunk = 4
    reuses_prefixes = True
    verifies_drafts = False
    snapshots = None

    def __init__(self, slots: int, most: int) -> None:
        self.slots, self.most = slots, most
        self.held: list[list[int]] = [[] for _ in range(slots)]

    def sampler(self, prompt: Sequence[int], sampling: SamplingParams, answer: int) -> Sampler:
        raise AssertionError("nothing is drawn here")

    def run(self, steps: Sequence[Step]) -> list[StepResult | ModelFailure]:
        raise AssertionError("nothing is run here")

    def copy(self, source: int, target: int, count: int) -> None:
        self.write(target, 0, self.held[source][:count])

    def truncate(self, slot: int, kept: int) -> None:
        del self.held[slot][kept:]

    def write(self, slot: int, position: int, tokens: Sequence[int]) -> None:
        assert position <= len(self.held[slot]), "a gap"
        self.held[slot][position:] = tokens
        assert sum(map(len, self.held)) <= self.most, "more than there is memory for"


def carry_out(cache: KVCache) -> None:
    for action in cache.pending:
        action()
    cache.pending.clear()


@given(slots=st.integers(1, 4), prompts=st.lists(st.tuples(TOKENS, FEW), max_size=30), most=st.integers(12, 60))
def test_slots_hold_what_they_are_said_to(slots: int, prompts: list[tuple[list[int], int]], most: int) -> None:
    """Sequences come, are read in small parts, and leave, the first that came first; memory stays within the bound."""
    model = ListModel(slots, most)
    cache = KVCache(model, most)
    running: list[tuple[Slot, list[int]]] = []
    for tokens, stay in prompts:
        if cache.free and (not running or cache.fits(len(tokens))):
            known = cache.cached(tokens)
            slot = cache.assign(tokens)
            assert slot.tokens == tokens[: len(slot.tokens)]
            assert len(slot.tokens) == known < len(tokens)
            running.append((slot, tokens))
        for slot, own in running:
            part = own[len(slot.tokens) : len(slot.tokens) + 3]
            if part and cache.make_room(len(part)):
                carry_out(cache)
                model.write(slot.index, len(slot.tokens), part)
                slot.tokens += part
                assert model.held[slot.index] == slot.tokens
        while len(running) > stay:
            running.pop(0)[0].busy = False
    for slot, _ in running:
        assert model.held[slot.index][: len(slot.tokens)] == slot.tokens


def test_a_conversation_goes_on_where_it_was_and_leaves_others_alone() -> None:
    model = ListModel(2, 1000)
    cache = KVCache(model, 1000)

    def answered(tokens: list[int]) -> tuple[int, int]:
        """The slot a prompt gets, and how much of it was there."""
        slot = cache.assign(tokens)
        known = len(slot.tokens)
        carry_out(cache)
        model.write(slot.index, known, tokens[known:])
        slot.tokens += tokens[known:]
        slot.busy = False
        return slot.index, known

    first, other = [1, 1, 1, 2, 2, 2], [1, 1, 1, 0, 0, 0]
    assert answered(first) == (0, 0)
    assert answered(other) == (1, 3), "copied, for what the first holds beyond may be wanted again"
    assert answered([*first, 0, 1]) == (0, 6)
    assert answered([*other, 2]) == (1, 6)


def test_memory_of_idle_slots_is_given_to_those_that_run() -> None:
    model = ListModel(2, 10)
    cache = KVCache(model, 10)
    idle = cache.assign([1] * 8)
    idle.tokens += [1] * 8
    idle.busy = False
    slot = cache.assign([2] * 9)
    assert cache.make_room(9)
    assert idle.tokens == []
    assert [action.func for action in cache.pending] == [model.truncate]  # type: ignore[attr-defined]
    slot.tokens += [2] * 9
    assert not cache.fits(2)
    assert not cache.make_room(2), "of those that run none is forgotten"


@given(TOKENS, TOKENS, st.integers(0, 600))
def test_common_prefix(a: list[int], b: list[int], same: int) -> None:
    head = [5] * same
    expected = next((place for place, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    assert common_prefix(head + a, head + b) == same + expected
