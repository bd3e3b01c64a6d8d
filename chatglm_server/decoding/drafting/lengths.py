"""How much of the guesses a pass reads: as much as gives most tokens a second."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from operator import mul

from .pass_costs import PassCosts

_WORTH = 1.03  # times as many tokens a second, or nothing is drafted


def draft_lengths(
    chances: Sequence[Sequence[float]], costs: PassCosts, rows: int, sampled: int, most: int
) -> tuple[list[int], float]:
    """The length of each draft, at most `most` tokens in all; and how many other tokens each row of them could be.

    `chances` are those of each draft's tokens. Without drafts the pass has `rows` rows and gives `sampled` tokens.
    """
    reached = [accumulate(draft, mul) for draft in chances]
    if costs.needs_plain_pass:
        most = 0
    # the likeliest first; equally likely ones by turns
    ranked = sorted(
        (-chance, place, number) for number, draft in enumerate(reached) for place, chance in enumerate(draft)
    )[:most]
    plain = sampled / costs.time(rows)
    best, best_rate, expected = 0, _WORTH * plain, float(sampled)
    for count, (negative, _, _) in enumerate(ranked, 1):
        expected -= negative
        rate = expected / costs.time(rows + count)
        if rate > best_rate:
            best, best_rate = count, rate
    lengths = [0] * len(chances)
    for _, _, number in ranked[:best]:
        lengths[number] += 1
    price = max(0.0, plain * costs.time(rows + best) - sampled) / best if best else 0.0
    return lengths, price
