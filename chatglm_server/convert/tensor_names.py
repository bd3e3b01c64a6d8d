"""The names of tensors: Hugging Face's on one side, GGUF's on the other, with the shapes that they must have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ..errors import ModelFileError
from .config import Config
from .safetensors_folder import StoredTensor

_IGNORED = re.compile(r"(^|\.)(rotary_pos_emb|rotary_emb)\.inv_freq$")
"""Tables that the figures say already."""


class _Expected(NamedTuple):
    name: str
    gguf_name: str
    shape: tuple[int, ...]
    optional: bool = False


def named_tensors(config: Config, stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """The tensors of a model by GGUF's names, in the order in which a pass uses them.

    Raises: ModelFileError for a tensor that is missing, unknown, or of another shape than config.json says.
    """
    left = {name: tensor for name, tensor in stored.items() if not _IGNORED.search(name)}
    folder = config.spec.path.parent
    found: dict[str, StoredTensor] = {}
    for expected in _original(config) if config.original else _transformers(config):
        tensor = left.pop(expected.name, None)
        if tensor is None:
            if expected.optional:
                continue
            raise ModelFileError(f"{folder}: the weights lack {expected.name}")
        if tensor.shape != expected.shape:
            wanted = list(expected.shape)
            raise ModelFileError(
                f"{tensor.path}: {expected.name} has the shape {list(tensor.shape)}; config.json says {wanted}"
            )
        found[expected.gguf_name] = tensor
    if left:
        raise ModelFileError(f"{folder}: the weights hold the unknown tensor {min(left)!r:.120}")
    return found


def _transformers(config: Config) -> Iterator[_Expected]:
    """`GlmForCausalLM`, and with two more norms `Glm4ForCausalLM`."""
    spec, two_more_norms = config.spec, config.architecture == "glm4"
    hidden, vocab, ffn = spec.hidden_size, spec.vocab_size, spec.ffn_size
    yield _Expected("model.embed_tokens.weight", "token_embd.weight", (vocab, hidden))
    for layer in range(spec.layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        yield _Expected(theirs + "input_layernorm.weight", ours + "attn_norm.weight", (hidden,))
        for name, heads in (("q", spec.heads), ("k", spec.kv_heads), ("v", spec.kv_heads)):
            rows, matrix = heads * spec.key_size, f"{theirs}self_attn.{name}_proj."
            yield _Expected(matrix + "weight", f"{ours}attn_{name}.weight", (rows, hidden))
            yield _Expected(matrix + "bias", f"{ours}attn_{name}.bias", (rows,), optional=True)
        output = (hidden, spec.heads * spec.value_size)
        yield _Expected(theirs + "self_attn.o_proj.weight", ours + "attn_output.weight", output)
        if two_more_norms:
            after = ours + "post_attention_norm.weight"
            yield _Expected(theirs + "post_self_attn_layernorm.weight", after, (hidden,))
        yield _Expected(theirs + "post_attention_layernorm.weight", ours + "ffn_norm.weight", (hidden,))
        yield _Expected(theirs + "mlp.gate_up_proj.weight", ours + "ffn_up.weight", (2 * ffn, hidden))
        yield _Expected(theirs + "mlp.down_proj.weight", ours + "ffn_down.weight", (hidden, ffn))
        if two_more_norms:
            yield _Expected(theirs + "post_mlp_layernorm.weight", ours + "post_ffw_norm.weight", (hidden,))
    yield _Expected("model.norm.weight", "output_norm.weight", (hidden,))
    yield _Expected("lm_head.weight", "output.weight", (vocab, hidden), config.tied)


def _original(config: Config) -> Iterator[_Expected]:
    """`ChatGLMForConditionalGeneration` of the repositories of ChatGLM3 and GLM-4-9B."""
    spec = config.spec
    hidden, vocab, ffn = spec.hidden_size, spec.vocab_size, spec.ffn_size
    joined = (spec.heads + spec.kv_heads) * spec.key_size + spec.kv_heads * spec.value_size
    yield _Expected("transformer.embedding.word_embeddings.weight", "token_embd.weight", (vocab, hidden))
    for layer in range(spec.layers):
        ours, theirs = f"blk.{layer}.", f"transformer.encoder.layers.{layer}."
        yield _Expected(theirs + "input_layernorm.weight", ours + "attn_norm.weight", (hidden,))
        matrix = theirs + "self_attention.query_key_value."
        yield _Expected(matrix + "weight", ours + "attn_qkv.weight", (joined, hidden))
        yield _Expected(matrix + "bias", ours + "attn_qkv.bias", (joined,), optional=True)
        output = (hidden, spec.heads * spec.value_size)
        yield _Expected(theirs + "self_attention.dense.weight", ours + "attn_output.weight", output)
        yield _Expected(theirs + "post_attention_layernorm.weight", ours + "ffn_norm.weight", (hidden,))
        yield _Expected(theirs + "mlp.dense_h_to_4h.weight", ours + "ffn_up.weight", (2 * ffn, hidden))
        yield _Expected(theirs + "mlp.dense_4h_to_h.weight", ours + "ffn_down.weight", (hidden, ffn))
    yield _Expected("transformer.encoder.final_layernorm.weight", "output_norm.weight", (hidden,))
    yield _Expected("transformer.output_layer.weight", "output.weight", (vocab, hidden), config.tied)
