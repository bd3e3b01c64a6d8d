"""A byte-pair vocabulary as GGUF's metadata: tokenizer "gpt2", whose tokens and merges are spelled in GPT-2's alphabet.

The merges are every split of a token into two others, in the order of the tokens' ranks, for tiktoken joins by the rank
of the result. "glm4" names GLM's pattern for words, and that a word that is a token is taken as a whole, as tiktoken
does: its vocabularies may hold tokens that no merge makes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ModelFileError
from ..model_files.sentencepiece_proto import NORMAL
from .gguf_writer import Value
from .vocabulary import filled

_LONGEST = 1024
"""Bytes of a token; GLM-4's longest has 128. It bounds the splits."""


def byte_pair_keys(tokens: Sequence[bytes], specials: Mapping[str, int], vocab_size: int) -> dict[str, Value]:
    """The keys of the vocabulary `tokens`, in the order of their ranks, with `specials` (name → id) behind them.

    Raises: ModelFileError.
    """
    longest = max(map(len, tokens))
    if longest > _LONGEST:
        raise ModelFileError(f"the tokenizer has a token of {longest} bytes; at most {_LONGEST} are supported")
    spelled = [spell(token) for token in tokens]
    names = {token: name for name, token in specials.items()}
    texts, types = filled(spelled, [NORMAL] * len(tokens), names, vocab_size)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "glm4",
        "tokenizer.ggml.tokens": texts,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": _merges(spelled),
        "tokenizer.ggml.add_bos_token": False,
    }


def spell(token: bytes) -> str:
    """A token in GPT-2's alphabet, a visible character for each byte."""
    return token.decode("latin-1").translate(_ALPHABET)


def _merges(spelled: Sequence[str]) -> list[str]:
    """ "LEFT RIGHT" of every split of every token into two others."""
    rank = {token: number for number, token in enumerate(spelled)}
    merges: list[str] = []
    for token in spelled:
        splits = ((token[:place], token[place:]) for place in range(1, len(token)))
        found = [(rank[left], rank[right], left, right) for left, right in splits if left in rank and right in rank]
        merges += [f"{left} {right}" for _, _, left, right in sorted(found)]
    return merges


def _alphabet() -> dict[int, str]:
    """Visible Latin-1 characters stand for their own bytes, those from U+0100 on for the other bytes in their order."""
    visible = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in visible]
    return {byte: chr(0x100 + place) for place, byte in enumerate(others)}


_ALPHABET = _alphabet()
