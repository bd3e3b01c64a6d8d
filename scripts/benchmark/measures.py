"""The measures: each takes a few seconds of one side, and is one turn of a round.

A measure begins with a few untimed tokens. The side has slept while another was measured; these tokens warm up its
code, the pages of its weights and the processor's clock, as in a busy server. Token ids are drawn anew each round, the
same for all sides.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .backends import TEMPERATURE, TOP_K, TOP_P, Backend
from .draft_texts import conversations
from .machine import usable_cpus

SAMPLED = f"temperature {TEMPERATURE}, top_k {TOP_K}, top_p {TOP_P}"
DEPTH, LONG, DRAFT = "depth", "long", "draft"
"""The measures that have processes of their own, with a larger cache."""
SAMPLE_VOCABULARY = 151_552
"""GLM-4's."""
SAMPLE_COUNTS = (1, 4)
SAMPLE_CALLS = 50
MASKS = {"free": "all tokens allowed", "half": "half of the tokens allowed", "one": "one token allowed"}


@dataclass(frozen=True)
class Lengths:
    """Tokens."""

    prefill: int = 512
    long: int = 2048
    decode_prompt: int = 16
    decode: int = 64
    cached: int = 600
    new: int = 64
    depth: int = 16_000
    part: int = 512
    deep_decode: int = 16
    answer: int = 256

    def context(self) -> int:
        """Tokens of a sequence that all measures need but those with a larger cache."""
        return max(self.prefill, self.decode_prompt + self.decode, self.cached + self.new) + 32


@dataclass(frozen=True)
class Figure:
    """A row of the table. `speed` is 1 if more is better, -1 if less is better, 0 if a ratio has no meaning."""

    label: str
    unit: str
    speed: int


def figures(lengths: Lengths) -> dict[str, Figure]:
    """Every figure, in the table's order."""
    first = f"first token, {lengths.new} tokens after {lengths.cached}"
    part, depth = lengths.part, lengths.depth
    return {
        "prefill": Figure(f"prefill, {lengths.prefill} tokens", "tok/s", 1),
        "decode": Figure("decode, 1 sequence", "tok/s", 1),
        "decode_4": Figure("decode, 4 sequences in all", "tok/s", 1),
        "decode_sampled": Figure(f"decode, 1 sequence, {SAMPLED}", "tok/s", 1),
        "decode_4_sampled": Figure(f"decode, 4 sequences in all, {SAMPLED}", "tok/s", 1),
        **{
            f"sample_{count}_{mask}": Figure(f"sample {count}, {label}", "ms", -1)
            for count in SAMPLE_COUNTS
            for mask, label in MASKS.items()
        },
        "cold": Figure(f"{first}, all new", "s", -1),
        "cached": Figure(f"{first} cached", "s", -1),
        "gain": Figure("cold / cached", "x", 0),
        "prefill_long": Figure(f"prefill, {lengths.long} tokens", "tok/s", 1),
        "first": Figure(f"prefill, first {part} tokens", "tok/s", 1),
        "deep": Figure(f"prefill, {part} tokens after {depth}", "tok/s", 1),
        "slowdown": Figure("deep / first", "x", 0),
        "first_decode": Figure("decode, from token 16 on", "tok/s", 1),
        "deep_decode": Figure(f"decode, after {depth} tokens", "tok/s", 1),
        "decode_slowdown": Figure("deep / first", "x", 0),
        **_draft_figures(lengths),
        "weights": Figure("load from page cache", "s", -1),
        "load": Figure("load from page cache, to a token", "s", -1),
        "resident": Figure("resident memory", "GB", -1),
        "read": Figure("memory read", "GB/s", 0),
    }


def _draft_figures(lengths: Lengths) -> dict[str, Figure]:
    rows: dict[str, Figure] = {}
    for one in conversations(lengths.answer):
        rows[f"draft_{one.name}"] = Figure(f"drafts: {one.label}", "tok/s", 1)
        rows[f"draft_{one.name}_gain"] = Figure("with / without drafts", "x", 0)
    return rows


Draw = Callable[[int], list[int]]


def ids_of(vocabulary: int, seed: int) -> Draw:
    """Draws token ids; from the first half of the vocabulary, which are ordinary pieces in all tokenizers."""
    random = np.random.default_rng(seed)
    return lambda count: [int(token) for token in random.integers(vocabulary // 2, size=count)]


def warm_up(model: Backend, draw: Draw) -> None:
    """A few tokens, read and sampled."""
    following = model.read(0, draw(8))
    for _ in range(2):
        (following,) = model.step([following])


def prefill(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Reads a prompt on an empty cache, up to and with the first token."""
    return {"prefill": lengths.prefill / _read_seconds(model, 0, draw(lengths.prefill))}


def decode(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """One sequence after a short prompt, which is read before the clock starts."""
    return {"decode": _decode(model, draw, lengths, 1)}


def decode_four(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Four such sequences in one pass a token; one after the other if the backend has only one."""
    return {"decode_4": _decode(model, draw, lengths, 4)}


def sampled(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Decoding of one and of four sequences, with sampling."""
    model.greedy = False
    try:
        one, four = (_decode(model, draw, lengths, count) for count in (1, 4))
    finally:
        model.greedy = True
    return {"decode_sampled": one, "decode_4_sampled": four}


def sample(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Sampling alone, of random logits: the core's sampler, without a model. Medians, in milliseconds."""
    import chatglm_native

    vocabulary, words = SAMPLE_VOCABULARY, (SAMPLE_VOCABULARY + 31) // 32
    random = np.random.default_rng(draw(1)[0])
    logits = random.normal(0, 2.5, (max(SAMPLE_COUNTS), vocabulary)).astype(np.float32)
    one = np.zeros(words, np.uint32)
    one[words // 2] = 1
    masks = {"free": None, "half": random.integers(0, 2**32, words, np.uint32), "one": one}
    pool = chatglm_native.ThreadPool(len(usable_cpus()))
    taken: dict[str, float] = {}
    for count in SAMPLE_COUNTS:
        for name, mask in masks.items():
            samplers = [
                chatglm_native.Sampler([], temperature=TEMPERATURE, top_k=TOP_K, top_p=TOP_P, seed=seed)
                for seed in range(count)
            ]
            seconds = []
            for _ in range(SAMPLE_CALLS):
                started = time.perf_counter()
                chatglm_native.sample(pool, logits, [(each, row, (), [mask]) for row, each in enumerate(samplers)])
                seconds.append(time.perf_counter() - started)
            taken[f"sample_{count}_{name}"] = 1000 * statistics.median(seconds)
    return taken


def cached(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """The first token of a prompt that is all new, then of one that has a new end, as tool prompts have."""
    cold = _read_seconds(model, 0, draw(lengths.cached + lengths.new))
    warm = _read_seconds(model, 0, draw(lengths.new), keep=lengths.cached)
    return {"cold": cold, "cached": warm, "gain": cold / warm}


def long(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Reads a long prompt on an empty cache."""
    return {"prefill_long": lengths.long / _read_seconds(model, 0, draw(lengths.long))}


def depth(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """A part of a prompt on an empty cache, then one deep in a long context; and decoding in both places.

    The tokens before it are read once, untimed, and kept in sequence 1; there the part is truncated and read again each
    time. The first part is read into sequence 0.
    """
    if model.length(1) < lengths.depth:
        model.read(1, draw(lengths.depth))
    first = lengths.part / _read_seconds(model, 0, draw(lengths.part))
    deep = lengths.part / _read_seconds(model, 1, draw(lengths.part), keep=lengths.depth)
    first_decode, deep_decode = (
        lengths.deep_decode / _read_one_by_one(model, sequence, draw(lengths.deep_decode), keep)
        for sequence, keep in ((0, lengths.decode_prompt), (1, lengths.depth))
    )
    return {
        "first": first,
        "deep": deep,
        "slowdown": deep / first,
        "first_decode": first_decode,
        "deep_decode": deep_decode,
        "decode_slowdown": deep_decode / first_decode,
    }


def draft(model: Backend, draw: Draw, lengths: Lengths) -> dict[str, float]:
    """Recorded answers, each without drafts and then with them, after prompts that are read before the clock starts."""
    taken: dict[str, float] = {}
    for one in conversations(lengths.answer):
        plain, drafted = (model.answer_seconds(one, drafts=drafts) for drafts in (False, True))
        taken |= {f"draft_{one.name}": len(one.answer) / drafted, f"draft_{one.name}_gain": plain / drafted}
    return taken


MEASURES: dict[str, Callable[[Backend, Draw, Lengths], dict[str, float]]] = {
    "prefill": prefill,
    "decode": decode,
    "decode4": decode_four,
    "sampled": sampled,
    "sample": sample,
    "cached": cached,
    LONG: long,
    DEPTH: depth,
    DRAFT: draft,
}


def _decode(model: Backend, draw: Draw, lengths: Lengths, count: int) -> float:
    """Tokens a second, of all sequences together."""
    seconds = 0.0
    for begin in range(0, count, model.sequences):
        batch: Sequence[int] = range(min(model.sequences, count - begin))
        following = [model.read(sequence, draw(lengths.decode_prompt)) for sequence in batch]
        started = time.perf_counter()
        for _ in range(lengths.decode):
            following = model.step(following)
        seconds += time.perf_counter() - started
    return count * lengths.decode / seconds


def _read_seconds(model: Backend, sequence: int, ids: Sequence[int], keep: int = 0) -> float:
    started = time.perf_counter()
    model.read(sequence, ids, keep)
    return time.perf_counter() - started


def _read_one_by_one(model: Backend, sequence: int, ids: Sequence[int], keep: int) -> float:
    """Seconds to read some tokens after the first `keep`, each in a pass of its own, as decoding does."""
    return sum(_read_seconds(model, sequence, [token], keep + place) for place, token in enumerate(ids))
