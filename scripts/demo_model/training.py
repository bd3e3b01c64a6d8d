"""Training: batches of conversations of similar length, Muon for the matrices, AdamW for the rest."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .model import Network
from .sequences import Codec, Sequence
from .text.conversations import conversation
from .text.draw import Draw

ROUND_TO = 16
"""Rows are padded to a multiple of this, for kernels are kept for every shape that occurs."""

POOL = 512
"""Conversations that are sorted by length at a time."""

OPENING = 4
"""Tokens that begin an answer: a blank or a line break, then a name or the first words of a text."""


@dataclass(frozen=True)
class Stage:
    """What conversations are like `until` a share of the steps is done: how many tools, turns and tokens at most."""

    until: float
    tools: int
    turns: int
    longest: int


@dataclass(frozen=True)
class Plan:
    """How long and how fast to learn. `batch` counts tokens, padding included."""

    steps: int
    batch: int = 4096
    stages: tuple[Stage, ...] = (Stage(0.04, 1, 1, 128), Stage(0.14, 2, 2, 256), Stage(1.0, 4, 4, 640))
    drills: float = 0.15
    """Share of the rows that only have tokens repeated."""
    muon_rate: float = 0.004
    adam_rate: float = 0.0015
    warmup: int = 100
    cooldown: float = 0.9
    read_share: float = 0.1
    """Share of the tokens which the model only reads that it learns to predict as well."""
    read_weight: float = 0.5
    decision_weight: float = 4.0
    """How much the beginning of an answer counts, where the model decides whether to call, and what."""

    def rate(self, step: int) -> float:
        """The factor of the learning rates: a short rise, a plateau, a straight way down."""
        left = (self.steps - step) / (self.steps * self.cooldown)
        return max(0.02, min(1.0, (step + 1) / self.warmup, left))


@dataclass
class Batch:
    """Padded rows of ids (rows, length), the flat places to predict from, what follows there, and how it counts."""

    ids: Tensor
    places: Tensor
    targets: Tensor
    written: Tensor
    weights: Tensor
    tokens: int


def batches(codec: Codec, plan: Plan, seed: int) -> Iterator[Batch]:
    """Endless batches, of short conversations at first.

    Conversations are drawn by the hundreds and sorted by length, so that little is padding.
    """
    draw, order = Draw(seed), random.Random(seed)
    step = 0
    while True:
        stage = next(stage for stage in plan.stages if step < stage.until * plan.steps or stage is plan.stages[-1])
        pool: list[Sequence] = []
        while len(pool) < POOL:
            drilled = draw.chance(plan.drills)
            made = codec.drill(draw) if drilled else codec.sequence(conversation(draw, stage.tools, stage.turns))
            if len(made.ids) <= stage.longest:
                pool.append(made)
        pool.sort(key=lambda sequence: len(sequence.ids))
        groups: list[list[Sequence]] = [[]]
        for sequence in pool:
            if (len(groups[-1]) + 1) * len(sequence.ids) > plan.batch:
                groups.append([])
            groups[-1].append(sequence)
        order.shuffle(groups)
        step += len(groups)
        yield from (_padded(group, order, plan) for group in groups if group)


def _padded(group: list[Sequence], order: random.Random, plan: Plan) -> Batch:
    longest = max(len(sequence.ids) for sequence in group)
    length = -(-longest // ROUND_TO) * ROUND_TO
    ids = torch.zeros(len(group), length, dtype=torch.long)
    places: list[int] = []
    targets: list[int] = []
    written: list[int] = []
    for row, sequence in enumerate(group):
        ids[row, : len(sequence.ids)] = torch.tensor(sequence.ids)
        for index, place in enumerate(sequence.written[1:]):
            if place or order.random() < plan.read_share:
                places.append(row * length + index)
                targets.append(sequence.ids[index + 1])
                written.append(place)
    tokens = sum(len(sequence.ids) for sequence in group)
    kinds = torch.tensor(written)
    weights = torch.where(kinds == 0, plan.read_weight, torch.where(kinds <= OPENING, plan.decision_weight, 1.0))
    return Batch(ids, torch.tensor(places), torch.tensor(targets), kinds > 0, weights, tokens)


def loss_of(network: Network, batch: Batch) -> tuple[Tensor, Tensor]:
    """The weighted mean loss to learn from, and the plain mean over the tokens that the model writes."""
    with torch.autocast("cpu", torch.bfloat16):
        hidden = network(batch.ids).flatten(0, 1)[batch.places]
        logits = network.output_layer(hidden).float()
    losses = functional.cross_entropy(logits, batch.targets, reduction="none")
    return (losses * batch.weights).sum() / batch.weights.sum(), losses[batch.written].mean().detach()


def orthogonal(matrix: Tensor, steps: int = 5) -> Tensor:
    """Roughly the nearest matrix with orthonormal rows or columns, by the quintic iteration that Muon uses."""
    x = matrix.bfloat16()
    x = x / (x.norm() + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    made: Tensor = (x.T if tall else x).float()
    return made


class Muon:
    """Momentum whose direction is made orthogonal, for matrices."""

    def __init__(self, parameters: Iterable[Tensor], rate: float, momentum: float = 0.95, decay: float = 0.01) -> None:
        self.parameters = list(parameters)
        self.rate, self.momentum, self.decay = rate, momentum, decay
        self.averages = [torch.zeros_like(parameter) for parameter in self.parameters]

    @torch.no_grad()
    def step(self, factor: float) -> None:
        """One update; mutates the parameters."""
        for parameter, average in zip(self.parameters, self.averages, strict=True):
            assert parameter.grad is not None
            average.lerp_(parameter.grad, 1 - self.momentum)
            direction = orthogonal(parameter.grad.lerp(average, self.momentum))
            scale = max(1.0, parameter.shape[0] / parameter.shape[1]) ** 0.5
            parameter.mul_(1 - self.rate * factor * self.decay)
            parameter.add_(direction, alpha=-self.rate * factor * scale)


@dataclass
class Outcome:
    """What a training took: seconds, tokens without padding, and the loss in the end on what the model writes."""

    seconds: float
    tokens: int
    loss: float


def train(network: Network, codec: Codec, plan: Plan, seed: int, report: Callable[[int, str], None]) -> Outcome:
    """Trains in place. `report` gets a line now and then, with the step."""
    inner = [p for name, p in network.named_parameters() if p.ndim == 2 and name.startswith("layers.")]
    chosen = {id(p) for p in inner}
    others = [p for p in network.parameters() if id(p) not in chosen]
    muon = Muon(inner, plan.muon_rate)
    adam = torch.optim.AdamW(others, lr=plan.adam_rate, betas=(0.9, 0.95), weight_decay=0.0)
    begin = time.monotonic()
    tokens, average = 0, 0.0
    source = batches(codec, plan, seed)
    for step in range(plan.steps):
        batch = next(source)
        weighted, plain = loss_of(network, batch)
        weighted.backward()
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        factor = plan.rate(step)
        for group in adam.param_groups:
            group["lr"] = plan.adam_rate * factor
        muon.step(factor)
        adam.step()
        network.zero_grad(set_to_none=True)
        tokens += batch.tokens
        average = plain.item() if step == 0 else 0.95 * average + 0.05 * plain.item()
        if step % 50 == 49 or step == plan.steps - 1:
            seconds = time.monotonic() - begin
            pace = f"{tokens / 1e6:.2f}M tokens  {tokens / seconds:.0f} tokens/s  {seconds:.0f} s"
            report(step + 1, f"step {step + 1}/{plan.steps}  loss {average:.4f}  {pace}")
    return Outcome(time.monotonic() - begin, tokens, average)
