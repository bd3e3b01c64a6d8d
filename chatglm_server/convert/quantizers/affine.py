"""The types whose weights are scale * code - minimum: Q2_K, Q4_K and Q5_K.

A superblock of 256 weights has two float16 numbers, and each of its groups has a whole number of the first as its
scale, and one of the second as its minimum. No minimum is negative, so every group's range holds zero. The search is
that of `symmetric`, for two numbers in place of one. Its arrays of weights are (weights of a group, groups), too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import (
    SUPERBLOCK,
    Bytes,
    Floats,
    bits,
    half_bytes,
    halves,
    inverse,
    joined,
    nibbles,
    pairs_of_bits,
    single_bits,
    stacked,
)

_TRIALS = ((-0.7, 0.0), (-0.7, 0.5), (-0.7, 1.0), (0.5, 0.0), (0.5, 0.5), (0.5, 1.0))
"""(codes that a group's range spans beyond the top code, the share of them that lies below code 0)."""
_STEPS = tuple((scale, minimum) for scale in (0, -1, 1) for minimum in (0, -1, 1))


@dataclass(frozen=True)
class _Scheme:
    """The group's weights, the largest code, and the largest whole number of a scale or minimum."""

    group: int
    top: int
    factors: int


_Q2_K = _Scheme(16, 3, 15)
_Q4_K = _Scheme(32, 15, 63)
_Q5_K = _Scheme(32, 31, 63)


def q2_k(blocks: Floats) -> Bytes:
    numbers, scales, minima, codes = _superblocks(blocks, _Q2_K)
    return joined(stacked((scales, minima), 4), pairs_of_bits(codes.reshape(-1, 2, 4, 32)), numbers)


def q4_k(blocks: Floats) -> Bytes:
    numbers, scales, minima, codes = _superblocks(blocks, _Q4_K)
    return joined(numbers, _six_bits(scales, minima), nibbles(codes.reshape(-1, 4, 64)))


def q5_k(blocks: Floats) -> Bytes:
    numbers, scales, minima, codes = _superblocks(blocks, _Q5_K)
    fifth = single_bits(codes.reshape(-1, 8, 32), 4)
    return joined(numbers, _six_bits(scales, minima), fifth, nibbles(codes.reshape(-1, 4, 64)))


def _six_bits(scales: Bytes, minima: Bytes) -> Bytes:
    """(blocks, 8) each → (blocks, 12): the first four of both with the upper bits of the others, and their lower."""
    upper = [kind[:, :4] | bits(kind[:, 4:], 4, 2) << np.uint8(6) for kind in (scales, minima)]
    return joined(*upper, stacked((scales[:, 4:], minima[:, 4:]), 4))


@dataclass(frozen=True)
class _Sums:
    """Sums over each group: of the weights x, of the codes q, and of their products."""

    size: int
    x: Floats
    q: Floats
    qq: Floats
    xq: Floats

    def fit(self) -> tuple[Floats, Floats]:
        """The scale and the minimum (at least 0) with the least squared error for these codes."""
        determinant = self.size * self.qq - self.q * self.q
        scale = (self.size * self.xq - self.q * self.x) * inverse(determinant)
        minimum = (scale * self.q - self.x) / self.size
        without = minimum < 0
        scale = np.where(without, self.xq * inverse(self.qq), scale)
        return scale, np.where(without, np.float32(0), minimum)

    def error(self, scale: Floats, minimum: Floats) -> Floats:
        """The squared error, less the sum of squared weights."""
        error: Floats = scale * (scale * self.qq - 2 * self.xq)
        error += minimum * (self.size * minimum + 2 * (self.x - scale * self.q))
        return error


def _sums(x: Floats, total: Floats, codes: Floats) -> _Sums:
    """`total` is the sum of each group's weights."""
    square = np.einsum("wg,wg->g", codes, codes)
    product = np.einsum("wg,wg->g", x, codes)
    parts = (part.reshape(total.shape) for part in (codes.sum(axis=0), square, product))
    return _Sums(len(x), total, *parts)


def _best_fits(x: Floats, total: Floats, top: int) -> tuple[Floats, Floats]:
    """(groups) scales and minima: step 1."""
    lowest = np.minimum(x.min(axis=0), 0)
    span = x.max(axis=0) - lowest
    above = x - lowest
    best = np.zeros((2, len(span)), np.float32)
    smallest = np.full(len(span), np.inf, np.float32)
    codes = np.empty_like(x)
    for wider, share in _TRIALS:
        np.multiply(above, inverse(span) * np.float32(top + wider), out=codes)
        codes -= np.float32(wider * share)
        np.clip(np.rint(codes, out=codes), 0, top, out=codes)
        sums = _sums(x, total, codes)
        fit = sums.fit()
        error = sums.error(*fit)
        better = error < smallest
        smallest = np.where(better, error, smallest)
        best = np.where(better, fit, best)
    return best[0], best[1]


def _superblocks(blocks: Floats, scheme: _Scheme) -> tuple[Bytes, Bytes, Bytes, Bytes]:
    """(blocks, 4) the float16 numbers, (blocks, groups) each the whole ones, (blocks, columns) codes."""
    count, top, most = len(blocks), scheme.top, scheme.factors
    x = np.ascontiguousarray(blocks.reshape(-1, scheme.group).T)
    total = x.sum(axis=0)
    scales, minima = (fit.reshape(count, -1) for fit in _best_fits(x, total, top))
    total = total.reshape(count, -1)
    d, m = (halves(fit.max(axis=1, keepdims=True) / np.float32(most)) for fit in (scales, minima))
    first_scales, first_minima = np.rint(scales * inverse(d)), np.rint(minima * inverse(m))
    codes = np.empty_like(x)
    best = np.zeros((5, *scales.shape), np.float32)  # the whole numbers, and the sums for their codes
    smallest = np.full(scales.shape, np.inf, np.float32)
    for step, step_of_minimum in _STEPS:
        scale = np.clip(first_scales + np.float32(step), 0, most)
        minimum = np.clip(first_minima + np.float32(step_of_minimum), 0, most)
        sums = _sums(x, total, _codes(x, d * scale, m * minimum, top, codes))
        minimum = np.clip(np.rint((d * scale * sums.q - total) / sums.size * inverse(m)), 0, most)
        error = sums.error(d * scale, m * minimum)
        better = error < smallest
        smallest = np.where(better, error, smallest)
        best = np.where(better, (scale, minimum, sums.q, sums.qq, sums.xq), best)
    scale, minimum = best[:2]
    d, m = map(halves, _fit_superblocks(scale, minimum, _Sums(len(x), total, *best[2:])))
    _codes(x, d * scale, m * minimum, top, codes)
    whole = np.ascontiguousarray(codes.T).reshape(count, SUPERBLOCK)
    numbers = joined(half_bytes(d), half_bytes(m))
    return numbers, scale.astype(np.uint8), minimum.astype(np.uint8), whole.astype(np.uint8)


def _codes(x: Floats, scale: Floats, minimum: Floats, top: int, out: Floats) -> Floats:
    """Writes the nearest code of each weight into `out`."""
    np.add(x, minimum.reshape(-1), out=out)
    np.multiply(out, inverse(scale).reshape(-1), out=out)
    np.clip(np.rint(out, out=out), 0, top, out=out)
    return out


def _fit_superblocks(scale: Floats, minimum: Floats, sums: _Sums) -> tuple[Floats, Floats]:
    """(blocks, 1) each: the two numbers of a superblock by least squares, for its whole numbers and codes."""

    def over_groups(values: Floats) -> Floats:
        total: Floats = values.sum(axis=1, keepdims=True)
        return total

    aa, ab = over_groups(scale * scale * sums.qq), -over_groups(scale * minimum * sums.q)
    bb = over_groups(minimum * minimum) * sums.size
    ax, bx = over_groups(scale * sums.xq), -over_groups(minimum * sums.x)
    determinant = aa * bb - ab * ab
    solvable = determinant > 1e-6 * aa * bb  # otherwise scales and minima are proportional, or one kind is zero
    both = inverse(np.where(solvable, determinant, np.float32(0)))
    alone = ax * inverse(aa)
    return (
        np.where(solvable, (ax * bb - bx * ab) * both, alone),
        np.where(solvable, (bx * aa - ax * ab) * both, np.float32(0)),
    )
