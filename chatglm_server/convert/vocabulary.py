"""Vocabularies as GGUF has them: a text and a type for each row of the embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import ModelFileError
from ..model_files.sentencepiece_proto import CONTROL, UNUSED
from .gguf_writer import Value

_END_OF_TURN, _END_OF_CALL = "<|user|>", "<|observation|>"


def filled(
    tokens: Sequence[str], types: Sequence[int], specials: Mapping[int, str], vocab_size: int
) -> tuple[list[str], list[int]]:
    """(texts, types) of `vocab_size` tokens: `tokens`, over them the control tokens `specials`, and unused ones.

    Raises: ModelFileError if the vocabulary is larger than `vocab_size`.
    """
    needed = max([len(tokens), *(token + 1 for token in specials)])
    if needed > vocab_size:
        raise ModelFileError(f"the tokenizer has {needed} tokens, but the model's vocab_size is {vocab_size}")
    texts = [*tokens, *(f"[PAD{token}]" for token in range(len(tokens), vocab_size))]
    kinds = [*types, *[UNUSED] * (vocab_size - len(types))]
    for token, text in specials.items():
        texts[token], kinds[token] = text, CONTROL
    return texts, kinds


def end_keys(specials: Mapping[str, int], end: int) -> dict[str, Value]:
    """The tokens that end an answer: `end`, and of the role tokens those that the model writes at an answer's end."""
    keys: dict[str, Value] = {"tokenizer.ggml.eos_token_id": end}
    if _END_OF_TURN in specials:
        keys["tokenizer.ggml.eot_token_id"] = specials[_END_OF_TURN]
    if _END_OF_CALL in specials:
        keys["tokenizer.ggml.eom_token_id"] = specials[_END_OF_CALL]
    return keys
