"""A second model from a first one of the same shape: its layers, and the rows of tokens that mean the same."""

from __future__ import annotations

import torch

from .model import Network
from .recipes import Prepared


@torch.no_grad()
def transfer(source: Network, known: Prepared, target: Network, wanted: Prepared) -> int:
    """Copies layers, and embeddings of common texts and special tokens, into `target`; returns how many rows.

    Where two tokens of the source stand for one text (a byte, and the letter of that byte), the later one is meant.
    """
    rows = {text: index for index, text in enumerate(known.texts) if text}
    pairs = [(index, rows[text]) for index, text in enumerate(wanted.texts) if text in rows]
    plain = {name.strip("<>"): token for name, token in known.codec.tokenizer.specials.items()}
    own_names = {name.strip("<>"): token for name, token in wanted.codec.tokenizer.specials.items()}
    pairs += [(token, plain[name]) for name, token in own_names.items() if name in plain]
    weights = source.state_dict()
    own = target.state_dict()
    to, origin = (torch.tensor(side) for side in zip(*pairs, strict=True))
    for name, value in own.items():
        if name in ("word_embeddings.weight", "output_layer.weight"):
            value[to] = weights[name][origin]
        else:
            value.copy_(weights[name])
    return len(pairs)
