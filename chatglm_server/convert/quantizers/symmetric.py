"""The types whose weights are scale * level: Q3_K, Q6_K, IQ4_NL and IQ4_XS.

A superblock of 256 weights has a float16 scale, and each of its groups has a whole number of it. The search minimizes
the sum of squared errors:

1. For each group, it rounds the weights to levels under several scales. To each rounding belongs a best scale, by least
   squares. The group takes the one that loses least.
2. The largest scale of a superblock sets the float16 scale, and the groups' scales become whole numbers of it.
3. It tries each whole number's neighbours, and fits the float16 scale to the levels that the best ones give.

Arrays of weights are (weights of a group, groups), so that NumPy works on long rows. The quantizers take (blocks,
columns of a block) and return (blocks, bytes of a block).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .arrays import (
    SUPERBLOCK,
    Bytes,
    Floats,
    bits,
    farthest,
    half_bytes,
    halves,
    inverse,
    joined,
    nibbles,
    pairs_of_bits,
    single_bits,
    stacked,
)

_TABLE = np.array((-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113), np.float32)
"""The levels of IQ4_NL and IQ4_XS."""
_CODES = np.abs(np.arange(-128, 129)[:, None] - _TABLE).argmin(axis=1).astype(np.uint8)
"""The code of the level that is nearest to a whole number, from -128 on."""
_LEVELS = _TABLE[_CODES]


@dataclass(frozen=True)
class _Scheme:
    """`nearest` rounds each number to a level, in place. In the search, the weight farthest from zero is `trials` times
    the scale.
    """

    group: int
    nearest: Callable[[Floats], Floats]
    trials: tuple[float, ...]
    factors: int
    """The whole numbers reach from minus this to one less than this."""


def _uniform(least: int, most: int) -> Callable[[Floats], Floats]:
    def nearest(x: Floats) -> Floats:
        np.clip(np.rint(x, out=x), least, most, out=x)
        return x

    return nearest


def _tabulated(x: Floats) -> Floats:
    np.rint(np.clip(x, -128, 128, out=x), out=x)
    x += 128
    x[:] = _LEVELS[x.astype(np.intp)]
    return x


_Q3_K = _Scheme(16, _uniform(-4, 3), (-4.6, -4.3, -4, -3.7, -3.4, -3.1, 3.6, 3.3, 3), 32)
_Q6_K = _Scheme(16, _uniform(-32, 31), (-33, -32, -31.5, -31, -30.5, -30, -29, 30.5, 29.5), 128)
_IQ4 = _Scheme(32, _tabulated, (-135, -127, -120, -113, -106, -98, 120, 113, 106, 98), 32)


def q3_k(blocks: Floats) -> Bytes:
    scale, factors, levels = _superblocks(blocks, _Q3_K)
    codes = (levels + 4).astype(np.uint8).reshape(-1, 8, 32)
    six = (factors + 32).astype(np.uint8)
    upper = pairs_of_bits(bits(six, 4, 2).reshape(-1, 4, 4))
    return joined(
        single_bits(codes, 2), pairs_of_bits(codes.reshape(-1, 2, 4, 32)), nibbles(six), upper, half_bytes(scale)
    )


def q6_k(blocks: Floats) -> Bytes:
    scale, factors, levels = _superblocks(blocks, _Q6_K)
    codes = (levels + 32).astype(np.uint8)
    low = nibbles(codes.reshape(-1, 2, 128))
    high = pairs_of_bits(bits(codes, 4, 2).reshape(-1, 2, 4, 32))
    return joined(low, high, factors.astype(np.int8).view(np.uint8), half_bytes(scale))


def iq4_xs(blocks: Floats) -> Bytes:
    scale, factors, levels = _superblocks(blocks, _IQ4)
    six = (factors + 32).astype(np.uint8)
    low = stacked((six[:, 0::2], six[:, 1::2]), 4)
    high = pairs_of_bits(bits(six, 4, 2).reshape(-1, 2, 4).swapaxes(1, 2))
    return joined(half_bytes(scale), high, low, nibbles(_table_codes(levels).reshape(-1, 8, 32)))


def iq4_nl(blocks: Floats) -> Bytes:
    x = np.ascontiguousarray(blocks.T)
    scale = halves(_best_scales(x, _IQ4))
    levels = _IQ4.nearest(x * inverse(scale)).T
    return joined(half_bytes(scale), nibbles(_table_codes(levels)))


def _table_codes(levels: Floats) -> Bytes:
    codes: Bytes = _CODES[(levels + 128).astype(np.intp)]
    return codes


def _best_scales(x: Floats, scheme: _Scheme) -> Floats:
    """(groups): step 1."""
    extreme = farthest(x, axis=0)[0]
    best: Floats = np.zeros_like(extreme)
    most = np.zeros_like(extreme)
    levels = np.empty_like(x)
    for trial in scheme.trials:
        scheme.nearest(np.multiply(x, inverse(extreme / np.float32(trial)), out=levels))
        product, square = _sums(x, levels)
        scale = product * inverse(square)
        gain = product * scale  # what the squared error loses by this scale
        better = gain > most
        best[better] = scale[better]
        most[better] = gain[better]
    return best


def _superblocks(blocks: Floats, scheme: _Scheme) -> tuple[Floats, Floats, Floats]:
    """(blocks) scales, (blocks, groups) whole numbers, (blocks, columns) levels."""
    count = len(blocks)
    x = np.ascontiguousarray(blocks.reshape(-1, scheme.group).T)
    scales = _best_scales(x, scheme).reshape(count, -1)
    least, most = -scheme.factors, scheme.factors - 1
    scale = halves(farthest(scales, axis=1) / np.float32(least))
    first = np.clip(np.rint(scales * inverse(scale)), least, most)
    levels = np.empty_like(x)
    best = np.zeros((3, *scales.shape), np.float32)  # whole number, and the sums for its levels
    smallest = np.full(scales.shape, np.inf, np.float32)
    for step in (0, -1, 1):
        factors = np.clip(first + np.float32(step), least, most)
        tried = scale * factors
        scheme.nearest(np.multiply(x, inverse(tried).reshape(-1), out=levels))
        product, square = (total.reshape(count, -1) for total in _sums(x, levels))
        error = tried * (tried * square - 2 * product)
        better = error < smallest
        smallest = np.where(better, error, smallest)
        best = np.where(better, (factors, product, square), best)
    factors, product, square = best
    numerator, denominator = (factors * product).sum(axis=1), (factors * factors * square).sum(axis=1)
    fitted = halves(numerator * inverse(denominator))
    scheme.nearest(np.multiply(x, inverse(fitted[:, None] * factors).reshape(-1), out=levels))
    return fitted, factors, np.ascontiguousarray(levels.T).reshape(count, SUPERBLOCK)


def _sums(x: Floats, levels: Floats) -> tuple[Floats, Floats]:
    """(groups) each: of weight * level, and of level * level."""
    return np.einsum("wg,wg->g", x, levels), np.einsum("wg,wg->g", levels, levels)
