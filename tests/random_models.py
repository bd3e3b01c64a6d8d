"""Small model files with random weights: real files for the real engine, of every family, whose text is noise."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from chatglm_bin_writer import DType, ModelHeader, ModelType, tensor_shapes, write_model
from sentencepiece import sentencepiece_model_pb2 as sp

CHATGLM_PIECES = ["<n>", "<|tab|>", "[MASK]", "[gMASK]", "<sop>", "<eop>", "<pad>"] + [
    f"<|blank_{count}|>" for count in range(2, 81)
]


@cache
def sentencepiece_proto(*user_defined: str) -> bytes:
    """A byte-fallback tokenizer: control pieces, bytes, letters, a few words, and `user_defined` pieces."""
    model = sp.ModelProto()
    model.trainer_spec.model_type = 2  # BPE
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = True
    model.normalizer_spec.remove_extra_whitespaces = False

    def add(piece: str, kind: int) -> None:
        entry = model.pieces.add()
        entry.piece, entry.score, entry.type = piece, -float(len(model.pieces)), kind

    for control, kind in (("<unk>", 2), ("<s>", 3), ("</s>", 3)):
        add(control, kind)
    for byte in range(256):
        add(f"<0x{byte:02X}>", 6)
    for piece in user_defined:
        add(piece, 4)
    for piece in ["▁", "\n", *map(chr, range(33, 127)), *"你好天气怎么样", "th", "the", "▁the", "你好"]:
        add(piece, 1)
    model.trainer_spec.vocab_size = len(model.pieces)
    return bytes(model.SerializeToString())


@cache
def tiktoken_vocabulary() -> bytes:
    """All single bytes, and a few merges."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"th", b"the", b" the", "你".encode()[:2], "你".encode()]
    return b"".join(base64.b64encode(token) + b" %d\n" % rank for rank, token in enumerate(tokens))


def write_random_model(
    path: Path,
    model_type: ModelType = ModelType.CHATGLM3,
    dtype: DType = DType.F16,
    *,
    hidden: int = 64,
    layers: int = 2,
    max_length: int = 256,
    logits: Mapping[int, float] | None = None,
) -> Path:
    """A file of `model_type`; always the same for the same arguments.

    With `logits` (token → value, -30 for the others) the layers add nothing and these are the logits at every position.
    """
    if model_type == ModelType.CHATGLM4:
        tokenizer, vocab = tiktoken_vocabulary(), 288
    else:
        pieces = CHATGLM_PIECES if model_type == ModelType.CHATGLM else []
        tokenizer, vocab = sentencepiece_proto(*pieces), 512
    header = ModelHeader(
        model_type=model_type,
        vocab_size=vocab,
        hidden_size=hidden,
        num_attention_heads=4,
        num_key_value_heads=4 if model_type == ModelType.CHATGLM else 2,
        num_hidden_layers=layers,
        intermediate_size=hidden * (4 if model_type == ModelType.CHATGLM else 2),
        max_length=max_length,
        eos_token_id=vocab - 1,  # an id that no text has
    )
    rng = np.random.default_rng(0)
    tensors = {
        name: np.ones(shape) if "norm.weight" in name else rng.normal(0, hidden**-0.5, shape)
        for name, shape in tensor_shapes(header)
    }
    if logits is not None:
        output = np.full(vocab, -30.0)
        output[list(logits)] = list(logits.values())
        for name, array in tensors.items():
            if name.endswith(("self_attention.dense.weight", "dense_4h_to_h.weight")):
                array[:] = 0
        tensors["transformer.embedding.word_embeddings.weight"][:] = 1
        tensors["transformer.output_layer.weight"][:] = output[:, None] / hidden
    write_model(path, header, tokenizer, tensors, dtype)
    return path
