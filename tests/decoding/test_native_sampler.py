"""The core's sampler: against NumPy's random numbers and a plain computation, and with hostile input."""

from __future__ import annotations

import threading
from array import array
from typing import Any

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatglm_server.decoding.constraints.base import TokenMask
from tests.native_kernels import examples

Floats = npt.NDArray[np.float32]
Sampled = tuple[int, float, list[tuple[int, float]]]
POOL = chatglm_native.ThreadPool(2)


def sampler(prompt: list[int] | None = None, **options: Any) -> chatglm_native.Sampler:
    return chatglm_native.Sampler(prompt or [], **options)


def sample(one: chatglm_native.Sampler, row: Any, mask: array[int] | None = None) -> Sampled:
    """The token after a single row."""
    logits = np.array([row], np.float32)
    ((sampled,),) = chatglm_native.sample(POOL, logits, [(one, 0, [], [mask])])
    return sampled


def mask_of(vocab: int, allowed: Any) -> array[int]:
    mask = TokenMask(vocab)
    for token in allowed:
        mask.allow(int(token))
    return mask.words


def uniform(seed: int, answer: int, position: int) -> float:
    """The documented number, by NumPy: its generator counts up before its first block."""
    counter = (position - 1) % 2**256
    bits = np.random.Philox(counter=counter, key=np.array([seed, answer], np.uint64))
    return float(int(bits.random_raw()) >> 11) * 2.0**-53


@pytest.mark.parametrize(("seed", "answer"), [(0, 0), (1, 0), (0, 1), (2**64 - 1, 3), (12345678901234567890, 127)])
def test_random_numbers_are_philox_of_seed_answer_and_position(seed: int, answer: int) -> None:
    """Of equally likely tokens the number itself says which one is sampled."""
    vocab = 4096
    one = sampler(seed=seed, answer=answer)
    row = np.zeros(vocab, np.float32)
    tokens = [sample(one, row)[0] for _ in range(50)]
    assert tokens == [int(uniform(seed, answer, position) * vocab) for position in range(50)]


def expected(row: npt.NDArray[np.float64], number: float, options: dict[str, Any], allowed: list[int]) -> set[int]:
    """The tokens that `number` may stand for, in float64: more than one where a bound is within rounding."""
    order = sorted(allowed, key=lambda token: (-row[token], token))
    if options["top_k"] > 0:
        order = order[: options["top_k"]]
    weights = {token: float(np.exp((row[token] - row[order[0]]) / options["temperature"])) for token in order}
    total = sum(weights.values())
    kept: list[int] = []
    for token in order:
        if kept and sum(weights[other] for other in kept) >= options["top_p"] * total:
            break
        kept.append(token)
    kept = [token for token in kept if weights[token] >= options["min_p"]]
    total = sum(weights[token] for token in kept)
    found, passed = set(), 0.0
    for token in sorted(kept):
        if passed - 1e-5 <= number * total <= passed + weights[token] + 1e-5:
            found.add(token)
        passed += weights[token]
    return found


@settings(max_examples=examples(300), deadline=None)
@given(st.data())
def test_tokens_are_those_of_a_plain_computation(data: st.DataObject) -> None:
    vocab = data.draw(st.integers(1, 200))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    # logits that are not close, so that rounding never decides which candidates are kept
    row = rng.permutation(np.arange(vocab) * 0.37 - 20.0 + rng.uniform(0, 0.1, vocab))
    options: dict[str, Any] = {
        "temperature": data.draw(st.sampled_from([0.3, 1.0, 4.0])),
        "top_k": data.draw(st.sampled_from([0, 1, 3, 40, 10**6])),
        "top_p": data.draw(st.sampled_from([1.0, 0.93, 0.511, 1e-9])),
        "min_p": data.draw(st.sampled_from([0.0, 0.0123, 0.31])),
    }
    masked = data.draw(st.booleans())
    allowed = sorted(rng.choice(vocab, rng.integers(1, vocab + 1), replace=False)) if masked else list(range(vocab))
    seed = data.draw(st.integers(0, 2**64 - 1))
    one = sampler(seed=seed, **options)
    mask = mask_of(vocab, allowed) if masked else None
    for position in range(4):
        token = sample(one, row, mask)[0]
        assert token in expected(
            row.astype(np.float32).astype(np.float64), uniform(seed, 0, position), options, allowed
        )


def large_rows(count: int) -> Floats:
    rows = np.random.default_rng(5).normal(0, 2.5, (count, 151_552)).astype(np.float32)
    rows[:, ::7] = np.round(rows[:, ::7])  # with ties
    return rows


OPTIONS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 0.8, "top_k": 50, "top_p": 0.9},
    {"top_p": 0.9},
    {"min_p": 0.05},
    {},
    {"top_k": 2000, "repetition_penalty": 1.2, "top_logprobs": 20},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_mask_is_the_same_as_logits_of_minus_infinity(options: dict[str, Any]) -> None:
    (row,) = large_rows(1)
    rng = np.random.default_rng(6)
    for share in (1.0, 0.5, 1e-3, 1e-5):
        allowed = np.flatnonzero(rng.random(len(row)) <= share)
        allowed = allowed if len(allowed) else np.array([77_777])
        removed = np.full_like(row, -np.inf)
        removed[allowed] = row[allowed]
        for seed in range(5):
            token = sample(sampler(seed=seed, **options), row, mask_of(len(row), allowed))[0]
            assert token == sample(sampler(seed=seed, **options), removed)[0]
            assert token in allowed


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_tokens_are_the_same_alone_and_together_with_any_number_of_threads(options: dict[str, Any]) -> None:
    rows = large_rows(6)
    alone = [sample(sampler([1, 2], seed=place, **options), row) for place, row in enumerate(rows)]
    for threads in (1, 2, 5):
        requests = [(sampler([1, 2], seed=place, **options), place, (), ()) for place in range(len(rows))]
        together = chatglm_native.sample(chatglm_native.ThreadPool(threads), rows, requests)
        assert [sampled for (sampled,) in together] == alone


def test_logits_are_left_as_they_were() -> None:
    rows = large_rows(2)
    before = rows.copy()
    options: dict[str, Any] = {
        "repetition_penalty": 1.3,
        "presence_penalty": 0.5,
        "bias": [(7, 3.0), (7, -1.0), (8, 2)],
    }
    one = sampler([7, 9, 11], top_logprobs=3, **options)
    for row in (0, 1):
        chatglm_native.sample(POOL, rows, [(one, row, [], [])])
    assert np.array_equal(rows, before)


def test_a_draft_is_sampled_as_far_as_it_is_right() -> None:
    """Row by row the tokens, probabilities and penalties of plain sampling."""
    rows = np.random.default_rng(8).normal(0, 2, (6, 500)).astype(np.float32)
    options: dict[str, Any] = {"seed": 4, "frequency_penalty": 0.7, "top_logprobs": 2}
    plain = sampler(**options)
    one_by_one = [sample(plain, row) for row in rows]
    right = [token for token, _, _ in one_by_one]
    for matches in range(6):
        draft = [*right[:matches], *((token + 1) % 500 for token in right[matches:5])]
        one = sampler(**options)
        (sampled,) = chatglm_native.sample(POOL, rows, [(one, 0, draft, [])])
        assert sampled == one_by_one[: matches + 1]
        # it goes on as if there had been no draft
        if matches < 5:
            assert sample(one, rows[matches + 1]) == one_by_one[matches + 1]


def test_noted_tokens_count_as_positions() -> None:
    row = np.zeros(4096, np.float32)
    one = sampler(seed=9)
    one.note(5)
    assert sample(one, row)[0] == int(uniform(9, 0, 1) * 4096)


def test_equal_logits_go_by_the_smaller_id() -> None:
    row = np.zeros(100, np.float32)
    row[[70, 40, 90]] = 1
    assert sample(sampler(temperature=0.0), row)[0] == 40
    assert {sample(sampler(seed=seed, top_k=2), row)[0] for seed in range(30)} == {40, 70}
    assert [token for token, _ in sample(sampler(top_logprobs=5), row)[2]] == [40, 70, 90, 0, 1]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_nan_is_minus_infinity(options: dict[str, Any]) -> None:
    (row,) = large_rows(1)[:, :1000]
    nans, infinities = row.copy(), row.copy()
    nans[::3], infinities[::3] = np.nan, -np.inf
    for seed in range(5):
        assert sample(sampler(seed=seed, **options), nans) == sample(sampler(seed=seed, **options), infinities)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("value", [-np.inf, np.nan])
def test_where_no_logit_is_finite_the_smallest_allowed_id_comes(options: dict[str, Any], value: float) -> None:
    row = np.full(100, value, np.float32)
    assert sample(sampler(**options), row)[0] == 0
    assert sample(sampler(**options), row, mask_of(100, [99, 64, 70]))[0] == 64
    assert sample(sampler(bias=[(3, 5.0)], **options), row)[0] == 0


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_where_nothing_is_allowed_there_is_no_token(options: dict[str, Any]) -> None:
    one = sampler(seed=1, **options)
    row = large_rows(1)[0, :100]
    beyond = mask_of(100, [])
    beyond[3] = 0xFFFFFFF0  # bits that stand for no token of the vocabulary
    assert sample(one, row, mask_of(100, []))[0] == -1
    assert sample(one, row, beyond)[0] == -1
    assert sample(one, row) == sample(sampler(seed=1, **options), row), "nothing was noted"


def test_penalties_and_bias() -> None:
    def tokens(seed: int, **options: Any) -> list[int]:
        one = sampler([1], seed=seed, **options)
        return [sample(one, np.zeros(16))[0] for _ in range(40)]

    assert tokens(1) == tokens(1) != tokens(2)
    assert set(tokens(3)) <= set(range(16))
    assert set(tokens(3, bias=[(7, 100.0)])) == {7}
    assert len(set(tokens(3, presence_penalty=2.0, temperature=0.0)[:16])) == 16, "each comes once before any again"


def test_log_probabilities() -> None:
    token, logprob, top = sample(sampler(temperature=0.0, top_logprobs=2), np.log([0.5, 0.1, 0.4]))
    assert token == 0
    assert logprob == pytest.approx(np.log(0.5), abs=1e-6)
    assert [other for other, _ in top] == [0, 2]
    assert [value for _, value in top] == pytest.approx(np.log([0.5, 0.4]), abs=1e-6)


def test_log_probabilities_of_a_large_vocabulary() -> None:
    (row,) = large_rows(1)
    wide = row.astype(np.float64)
    logs = wide - wide.max() - np.log(np.exp(wide - wide.max()).sum())
    _, _, top = sample(sampler(top_logprobs=20), row)
    assert [value for _, value in top] == pytest.approx(np.sort(logs)[::-1][:20], abs=2e-5)


# ---- hostile input ----

SMALL = st.integers(-(2**31), 2**31 - 1)
ANY_FLOAT = st.floats(width=32)


@settings(max_examples=examples(500), deadline=None)
@given(
    row=st.lists(st.one_of(ANY_FLOAT, st.sampled_from([0.0, np.inf, -np.inf, np.nan])), min_size=1, max_size=80),
    options=st.fixed_dictionaries(
        {},
        optional={
            "prompt": st.lists(st.one_of(st.integers(0, 40), SMALL), max_size=5),
            "temperature": ANY_FLOAT,
            "top_k": SMALL,
            "top_p": ANY_FLOAT,
            "min_p": ANY_FLOAT,
            "repetition_penalty": ANY_FLOAT,
            "presence_penalty": ANY_FLOAT,
            "frequency_penalty": ANY_FLOAT,
            "bias": st.lists(st.tuples(st.one_of(st.integers(0, 40), SMALL), ANY_FLOAT), max_size=5),
            "seed": st.integers(0, 2**64 - 1),
            "answer": st.integers(0, 2**64 - 1),
            "top_logprobs": SMALL,
        },
    ),
    allowed=st.lists(st.integers(0, 79), max_size=5),
)
def test_a_token_comes_whatever_is_given(row: list[float], options: dict[str, Any], allowed: list[int]) -> None:
    allowed = [token for token in allowed if token < len(row)]
    one = sampler(**options)
    for _ in range(3):
        token, logprob, top = sample(one, row, mask_of(len(row), allowed) if allowed else None)
        assert token in (allowed or range(len(row)))
        assert -9999 <= logprob < 1e-3
        assert len(top) == max(0, min(options.get("top_logprobs", -1), len(row)))
        assert [value for _, value in top] == sorted((value for _, value in top), reverse=True)
        one.note(token)


@pytest.mark.parametrize(
    "logits",
    [
        np.zeros((1, 0), np.float32),
        np.zeros((0, 4), np.float32),
        np.zeros(4, np.float32),
        np.zeros((1, 1, 4), np.float32),
        np.zeros((4, 1), np.float32)[::2].T,
        np.zeros((1, 4), np.float64),
        np.zeros((1, 4), np.int32),
        np.frombuffer(bytes(16), np.float32).reshape(1, 4),  # read-only
        None,
    ],
    ids=lambda logits: "none" if logits is None else f"{logits.shape}-{logits.dtype}",
)
def test_arrays_that_are_not_rows_of_logits(logits: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        chatglm_native.sample(POOL, logits, [(sampler(), 0, [], [])])


BAD_REQUESTS: list[list[tuple[Any, ...]]] = [
    *([("sampler", row, [], [])] for row in (-1, 3, 2**63, 2**64)),
    [("sampler", 0, [1, 2, 3], [])],
    [("sampler", 2, [1], [])],
    [("sampler", 0, [1], []), ("sampler", 1, [], [])],
    [("sampler", 0, [], []), ("sampler", 0, [], [])],
    [("sampler", 0, [1], [None])],
    [("sampler", 0, [], [None, None])],
    [("sampler", 0, [], [array("I", [1])])],
    [("sampler", 0, [], [array("I", [1, 1, 1])])],
    [("sampler", 0, [], [array("i", [1, 1])])],
    [("sampler", 0, [], [array("B", [1] * 8)])],
    [("sampler", 0, [], [[1, 1]])],
    [("sampler", 0, [2**31], [])],
    [(None, 0, [], [])],
    [("sampler", 0, [])],
]


@pytest.mark.parametrize("requests", BAD_REQUESTS, ids=str)
def test_bad_requests_are_refused_and_nothing_is_sampled(requests: list[tuple[Any, ...]]) -> None:
    one = sampler(seed=3)
    logits = np.zeros((3, 40), np.float32)
    with pytest.raises((ValueError, TypeError)):
        chatglm_native.sample(POOL, logits, [(one if first else None, *rest) for first, *rest in requests])
    assert sample(one, logits[0])[0] == int(uniform(3, 0, 0) * 40)


@pytest.mark.parametrize("draft", [[-1], [40], [2**31 - 1]])
def test_a_draft_outside_the_vocabulary_is_never_right(draft: list[int]) -> None:
    (sampled,) = chatglm_native.sample(POOL, np.zeros((2, 40), np.float32), [(sampler(), 0, draft, [])])
    assert len(sampled) == 1


def test_one_sampler_and_one_pool_in_several_threads() -> None:
    one = sampler(frequency_penalty=0.1, top_logprobs=3)

    def work() -> None:
        for _ in range(200):
            token, _, _ = sample(one, np.zeros(1000))
            one.note(token)
        rows = np.zeros((4, 1000), np.float32)
        for _ in range(50):
            chatglm_native.sample(POOL, rows, [(sampler(seed=row), row, [], []) for row in range(4)])

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
