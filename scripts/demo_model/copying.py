"""A start for the weights: one circuit that copies, so that training need not find it first.

An induction head (Olsson et al. 2022, "In-context Learning and Induction Heads") takes two layers. Heads of the first
one look at the token before, and at the one before that, and note them; a head of the second one looks for places whose
notes are the present token and the one before, and brings the token that stands there, which then is likely to be the
next. All else starts at random, and everything is trained on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .model import Block, Network, Shape

SHARPNESS = 8.0
"""How much one position outweighs its neighbours: the size of the biases that point at it."""
NOTE = 0.7
"""How loud notes are, next to what they note."""
MATCH = 3.0
"""The factor of queries and keys that are to be alike."""
LIKELY = 0.3
"""The factor from a token that is brought to its logit."""


@torch.no_grad()
def seed(network: Network) -> None:
    """Sets a head of each of the first two key/value groups, and the output layer. Mutates the network."""
    shape = network.shape
    first, second = network.layers[0], network.layers[1]
    assert isinstance(first, Block) and isinstance(second, Block)
    head, group = first.head, shape.heads // shape.kv_heads
    note, brought = _directions(head, shape.hidden), _directions(head, shape.hidden)
    before, two_before, spot = _directions(3 * head, shape.hidden).split(head)  # apart from each other
    for back, place in ((1, before), (2, two_before)):
        query, key, value = _rows(first, shape, back - 1)
        query.zero_()
        key.zero_()
        value.copy_(note)
        own = (back - 1) * group * head
        first.dense.weight[:, own : own + head] = NOTE * place.T
        _point_back(first, shape, back)

    query, key, value = _rows(second, shape, 0)
    query.zero_()
    key.zero_()
    still = 3 * head // 8  # the rotary embedding turns these channels slowly or not at all: they match at any distance
    here, earlier = slice(5 * head // 8, head), slice(still, 5 * head // 8)
    query[here], key[here] = MATCH * note[here], MATCH * before[here]
    query[earlier], key[earlier] = MATCH * before[earlier], MATCH * two_before[earlier]
    value.copy_(brought)
    second.dense.weight[:, :head] = spot.T
    network.output_layer.weight.copy_(LIKELY * network.word_embeddings.weight @ brought.T @ spot)


def _point_back(block: Block, shape: Shape, back: int) -> None:
    """Biases of a group's first head whose product is largest `back` positions ago: turned pairs that meet there."""
    head, group = block.head, shape.heads // shape.kv_heads
    angles = back * shape.theta ** (-torch.arange(0, head // 2, 2).float() / (head // 2))
    bias = block.query_key_value.bias
    query, key = (back - 1) * group * head, shape.hidden + (back - 1) * head
    bias[query : query + head // 2] = SHARPNESS * torch.stack([angles.cos(), -angles.sin()], dim=-1).flatten()
    bias[key : key + head // 2] = SHARPNESS * torch.tensor([1.0, 0.0]).repeat(head // 4)


def _rows(block: Block, shape: Shape, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of a group's first query head, and of the key and value head that it uses, as views."""
    weight, head = block.query_key_value.weight, block.head
    query = number * head * (shape.heads // shape.kv_heads)
    key = shape.hidden + number * head
    value = key + head * shape.kv_heads
    return weight[query : query + head], weight[key : key + head], weight[value : value + head]


def _directions(count: int, width: int) -> Tensor:
    """Random orthonormal rows, (count, width)."""
    made: Tensor = torch.linalg.qr(torch.randn(width, count)).Q.T
    return made
