"""The drafter and the length of its drafts: without a model, by what passes would cost."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from operator import mul

import pytest
from benchmark.draft_texts import Conversation, conversations

from chatglm_server.decoding.drafting.base import DRAFT_ROWS
from chatglm_server.decoding.drafting.lengths import draft_lengths
from chatglm_server.decoding.drafting.pass_costs import MOST_ROWS, PassCosts
from chatglm_server.decoding.drafting.prompt_lookup import PromptLookup
from chatglm_server.decoding.drafting.recent_answers import MOST_KEPT, RecentAnswers

DENSE = {1: 1.0, 4: 1.21, 5: 1.95, 8: 2.57, 16: 4.86, 32: 8.98, 64: 17.4}
EXPERTS = {1: 1.0, 2: 1.45, 4: 2.0, 8: 3.9, 16: 5.5, 32: 10.95, 64: 20.0}
"""Measured passes, in passes of one row."""
TEXTS = {one.name: one for one in conversations(400)}


def cost(curve: dict[int, float], rows: int) -> float:
    for (fewer, less), (more, most) in pairwise(curve.items()):
        if rows <= more:
            return less + (rows - fewer) / (more - fewer) * (most - less)
    raise AssertionError(rows)


def gain(one: Conversation, curve: dict[int, float], prediction: Sequence[int] = ()) -> float:
    """How many times as fast as without drafts an answer would be."""
    noise = random.Random(1)
    costs, drafter = PassCosts(), PromptLookup(len(one.prompt), prediction, one.others)
    known, whole, spent = [*one.prompt, one.answer[0]], [*one.prompt, *one.answer], 0.0
    while len(known) < len(whole):
        following = whole[len(known) :]
        draft = drafter.propose(known, min(DRAFT_ROWS - 1, len(following) - 1)) if len(following) > 1 else None
        (length,), price = draft_lengths([draft.chances if draft else ()], costs, 1, 1, DRAFT_ROWS - 1)
        spent += cost(curve, 1 + length)
        costs.note(1 + length, 0.1 * cost(curve, 1 + length) * noise.lognormvariate(0, 0.15), length)
        right = 0
        while draft and right < length and draft.tokens[right] == following[right]:
            right += 1
        if length:
            drafter.judge(length, right, price * length)
        known += following[: right + 1]
    return (len(one.answer) - 1) / spent


@pytest.mark.parametrize(
    ("name", "dense", "experts"),
    [("rewrite", 2.5, 2.0), ("quote", 2.5, 2.0), ("rows", 2.5, 1.8), ("edit", 2.5, 2.0), ("shell", 1.5, 1.2)],
)
def test_repeated_text_comes_sooner(name: str, dense: float, experts: float) -> None:
    assert gain(TEXTS[name], DENSE) > dense
    assert gain(TEXTS[name], EXPERTS) > experts


@pytest.mark.parametrize("name", ["numbered", "escaped"])
def test_text_in_another_spelling_comes_sooner(name: str) -> None:
    for curve in (DENSE, EXPERTS):
        assert gain(TEXTS[name], curve) > 1.3 * gain(replace(TEXTS[name], others=()), curve)


@pytest.mark.parametrize("curve", [DENSE, EXPERTS, {1: 1.0, 64: 64.0}], ids=["dense", "experts", "linear"])
def test_new_text_takes_no_longer(curve: dict[int, float]) -> None:
    """Prose, and noise in which a few tokens follow each other again and again by chance: what is found is wrong."""
    draw = random.Random(2)
    noises = [[draw.randrange(size) for _ in range(2000)] for size in (6, 8, 16, 32, 64)]
    for one in (TEXTS["prose"], *(Conversation("", "", noise[:1000], noise[1000:]) for noise in noises)):
        assert gain(one, curve) > 0.97


def test_a_prediction_is_a_source() -> None:
    known = TEXTS["rewrite"]
    unknown = Conversation("", "", known.prompt[:20], known.answer)
    assert gain(unknown, DENSE) < 1.5
    assert gain(unknown, DENSE, known.prompt[20:]) > 2.5


def test_an_answer_that_was_given_before_comes_sooner() -> None:
    """Also with one token in ten changed, and behind another prompt with the same end."""
    draw, recent = random.Random(8), RecentAnswers()
    prompt, answer = [draw.randrange(10_000) for _ in range(50)], [draw.randrange(10_000) for _ in range(300)]
    recent.add([*prompt, *answer], len(prompt))
    for curve, share, least in (DENSE, 0.0, 2.5), (DENSE, 0.1, 1.5), (EXPERTS, 0.0, 2.0), (EXPERTS, 0.1, 1.2):
        changed = [draw.randrange(10_000) if draw.random() < share else token for token in answer]
        again = Conversation("", "", [1, 2, 3, *prompt[-12:]], changed)
        assert gain(again, curve) < 1.01
        assert gain(replace(again, others=recent.tokens), curve) > least


def test_only_the_latest_answers_are_kept() -> None:
    recent = RecentAnswers()
    recent.add([1, 2, 3], 3)
    assert list(recent.tokens) == [1, 2, 3], "no more of the prompt than there is"
    for number in range(4):
        recent.add([number] * MOST_KEPT, MOST_KEPT // 2)
        assert len(recent.tokens) <= MOST_KEPT
    recent.add([5] * 100 + [6] * 10, 100)
    assert list(recent.tokens[-34:]) == [5] * 24 + [6] * 10
    recent.add([7] * 3 * MOST_KEPT, 0)
    assert list(recent.tokens) == [7] * MOST_KEPT


def proposed(drafter: PromptLookup, tokens: Sequence[int], most: int = 8) -> list[int]:
    return list(drafter.propose(list(tokens), most).tokens)


def test_the_latest_and_longest_occurrence_goes_on() -> None:
    prompt = [1, 2, 3, 4, 5, 6, 50, 51, 90, 4, 5, 6, 60, 61, 90, 91]
    assert proposed(PromptLookup(16), [*prompt, 4, 5, 6], 2) == [60, 61]
    assert proposed(PromptLookup(16), [*prompt, 1, 2, 3, 4, 5, 6], 2) == [50, 51]
    assert proposed(PromptLookup(16), [*prompt, 70, 5, 6], 2) == []


def test_a_copy_goes_on_behind_an_edit() -> None:
    prompt = list(range(10, 40))
    for edit, follows in ([99, 14, 15], 16), ([15, 16], 17), ([12, 99, 98, 97, 13, 14], 15):
        drafter, answer = PromptLookup(30), [10, 11, 12]
        assert proposed(drafter, prompt + answer, 3) == [13, 14, 15]
        for token in edit:
            answer.append(token)
            proposed(drafter, prompt + answer)
        assert proposed(drafter, prompt + answer, 2) == [follows, follows + 1]


def test_a_loop_is_gone_round_again() -> None:
    assert proposed(PromptLookup(1), [0, 1, 2, 3, 1, 2, 3, 1, 2, 3], 7) == [1, 2, 3, 1, 2, 3, 1]


def test_every_token_id_is_found() -> None:
    """Also those that no text could hold as characters."""
    prompt = [0, 0xD7FF, 0xD800, 0xDFFF, 0xFFFF, 0x10000, 0x10FFFF, 5]
    assert proposed(PromptLookup(8), [*prompt, 0, 0xD7FF, 0xD800]) == [*prompt[3:], 0, 0xD7FF, 0xD800][:8]


def test_drafts_that_are_wrong_become_rare() -> None:
    """Where the same three tokens are always followed by something else."""
    draw = random.Random(3)
    text = [token for _ in range(300) for token in (1, 2, 3, draw.randrange(10, 10_000))]
    assert gain(Conversation("", "", text[:400], text[400:]), {1: 1.0, 64: 64.0}) > 0.97


def test_costs_are_learned() -> None:
    """From twice and a third of the first guess, with noise and some passes that were interrupted."""
    for factor in (2.0, 1 / 3):
        draw, costs = random.Random(4), PassCosts()
        for _ in range(400):
            rows = draw.choice([1, 1, 2, 4, 8, 16])
            seconds = 0.1 * (1 + factor * 0.25 * (rows - 1)) * draw.lognormvariate(0, 0.1)
            costs.note(rows, 20 * seconds if draw.random() < 0.02 else seconds, rows - 1)
        for rows in (2, 4, 8, 16):
            assert costs.time(rows) / costs.time(1) == pytest.approx(1 + factor * 0.25 * (rows - 1), rel=0.15)


def test_any_number_of_rows_has_a_cost() -> None:
    costs = PassCosts()
    times = [costs.time(rows) for rows in range(1, 300)]
    assert times == sorted(times)
    for rows in (0, MOST_ROWS + 1):
        costs.note(rows, 5.0, 0)
    costs.note(1, 0.0, 0)
    assert [costs.time(rows) for rows in range(1, 300)] == times


def test_the_length_is_the_one_with_most_tokens_a_second() -> None:
    """Against all combinations of the lengths of two drafts."""
    draw, costs = random.Random(5), PassCosts()
    for _ in range(200):
        drafts = [[draw.choice([0.3, 0.9, 1.0]) for _ in range(draw.randrange(7))] for _ in range(2)]
        rows, most = draw.randrange(2, 6), draw.randrange(1, 12)
        lengths, price = draft_lengths(drafts, costs, rows, 2, most)
        reached = [list(accumulate(draft, mul)) for draft in drafts]

        def rate(first: int, second: int) -> float:
            expected = 2 + sum(reached[0][:first]) + sum(reached[1][:second])  # noqa: B023  # called at once
            return float(expected / costs.time(rows + first + second))  # noqa: B023

        best = max(
            rate(first, second)
            for first in range(len(drafts[0]) + 1)
            for second in range(len(drafts[1]) + 1)
            if first + second <= most
        )
        assert sum(lengths) <= most
        assert rate(*lengths) == pytest.approx(best) or (lengths == [0, 0] and best <= 1.03 * rate(0, 0))
        assert price >= 0
