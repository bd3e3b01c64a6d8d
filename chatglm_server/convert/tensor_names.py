"""The names of tensors: Hugging Face's on one side, GGUF's on the other, with the shapes that they must have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ..errors import ModelFileError
from ..model_files.spec import ModelSpec
from .config import Config
from .expected_tensors import Expected, Tensor, alone
from .expert_tensors import expert_tensors, latent_attention_tensors
from .safetensors_folder import StoredTensor

_IGNORED = re.compile(r"(^|\.)(rotary_pos_emb|rotary_emb)\.inv_freq$")
"""Tables that the figures say already."""
_LAYER = re.compile(r"model\.layers\.(\d{1,9})\.")


def named_tensors(config: Config, stored: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
    """The tensors of a model by GGUF's names, in the order in which a pass uses them.

    Raises: ModelFileError for a tensor that is missing, unknown, or of another shape than config.json says.
    """
    left = {name: tensor for name, tensor in stored.items() if not _ignored(config, name)}
    folder = config.spec.path.parent
    found: dict[str, Tensor] = {}
    for expected in _original(config) if config.original else _transformers(config):
        parts = [_take(left, folder_name, expected) for folder_name in expected.names]
        tensors = [part for part in parts if part is not None]
        if len(tensors) == len(parts):
            found |= expected.made(tensors)
        elif not expected.optional:
            missing = expected.names[parts.index(None)]
            raise ModelFileError(f"{folder}: the weights lack {missing}")
    if left:
        raise ModelFileError(f"{folder}: the weights hold the unknown tensor {min(left)!r:.120}")
    return found


def _take(left: dict[str, StoredTensor], name: str, expected: Expected) -> StoredTensor | None:
    tensor = left.pop(name, None)
    if tensor is not None and tensor.shape != expected.shape:
        raise ModelFileError(
            f"{tensor.path}: {name} has the shape {list(tensor.shape)}; config.json says {list(expected.shape)}"
        )
    return tensor


def _ignored(config: Config, name: str) -> bool:
    """Of a model with experts, also the layers at the end that predict one token more (MTP)."""
    layer = _LAYER.match(name) if config.spec.experts is not None else None
    return bool(_IGNORED.search(name)) or (layer is not None and int(layer[1]) >= config.spec.layers)


def _transformers(config: Config) -> Iterator[Expected]:
    """The classes of transformers: `GlmForCausalLM`, with two more norms `Glm4ForCausalLM`, and those with experts."""
    spec, two_more_norms = config.spec, config.architecture == "glm4"
    hidden, vocab = spec.hidden_size, spec.vocab_size
    before_ffn = "post_attention_norm" if config.architecture == "glm4moe" else "ffn_norm"
    yield alone("model.embed_tokens.weight", "token_embd.weight", (vocab, hidden))
    for layer in range(spec.layers):
        ours, theirs = f"blk.{layer}.", f"model.layers.{layer}."
        yield alone(theirs + "input_layernorm.weight", ours + "attn_norm.weight", (hidden,))
        if spec.latent is None:
            yield from _grouped_attention(spec, ours, theirs)
        else:
            yield from latent_attention_tensors(spec, spec.latent, ours, theirs)
        output = (hidden, spec.heads * spec.value_size)
        yield alone(theirs + "self_attn.o_proj.weight", ours + "attn_output.weight", output)
        if two_more_norms:
            after = ours + "post_attention_norm.weight"
            yield alone(theirs + "post_self_attn_layernorm.weight", after, (hidden,))
        yield alone(theirs + "post_attention_layernorm.weight", f"{ours}{before_ffn}.weight", (hidden,))
        if spec.experts is None:
            yield alone(theirs + "mlp.gate_up_proj.weight", ours + "ffn_up.weight", (2 * spec.ffn_size, hidden))
            yield alone(theirs + "mlp.down_proj.weight", ours + "ffn_down.weight", (hidden, spec.ffn_size))
        else:
            yield from expert_tensors(spec, spec.experts, layer)
        if two_more_norms:
            yield alone(theirs + "post_mlp_layernorm.weight", ours + "post_ffw_norm.weight", (hidden,))
    yield alone("model.norm.weight", "output_norm.weight", (hidden,))
    yield alone("lm_head.weight", "output.weight", (vocab, hidden), config.tied)


def _grouped_attention(spec: ModelSpec, ours: str, theirs: str) -> Iterator[Expected]:
    for name, heads in (("q", spec.heads), ("k", spec.kv_heads), ("v", spec.kv_heads)):
        rows, matrix = heads * spec.key_size, f"{theirs}self_attn.{name}_proj."
        yield alone(matrix + "weight", f"{ours}attn_{name}.weight", (rows, spec.hidden_size))
        yield alone(matrix + "bias", f"{ours}attn_{name}.bias", (rows,), optional=True)
    for name in ("q", "k") if spec.experts is not None else ():
        norm = f"{ours}attn_{name}_norm.weight"
        yield alone(f"{theirs}self_attn.{name}_norm.weight", norm, (spec.key_size,), optional=True)


def _original(config: Config) -> Iterator[Expected]:
    """`ChatGLMForConditionalGeneration` of the repositories of ChatGLM3 and GLM-4-9B."""
    spec = config.spec
    hidden, vocab, ffn = spec.hidden_size, spec.vocab_size, spec.ffn_size
    joined = (spec.heads + spec.kv_heads) * spec.key_size + spec.kv_heads * spec.value_size
    yield alone("transformer.embedding.word_embeddings.weight", "token_embd.weight", (vocab, hidden))
    for layer in range(spec.layers):
        ours, theirs = f"blk.{layer}.", f"transformer.encoder.layers.{layer}."
        yield alone(theirs + "input_layernorm.weight", ours + "attn_norm.weight", (hidden,))
        matrix = theirs + "self_attention.query_key_value."
        yield alone(matrix + "weight", ours + "attn_qkv.weight", (joined, hidden))
        yield alone(matrix + "bias", ours + "attn_qkv.bias", (joined,), optional=True)
        output = (hidden, spec.heads * spec.value_size)
        yield alone(theirs + "self_attention.dense.weight", ours + "attn_output.weight", output)
        yield alone(theirs + "post_attention_layernorm.weight", ours + "ffn_norm.weight", (hidden,))
        yield alone(theirs + "mlp.dense_h_to_4h.weight", ours + "ffn_up.weight", (2 * ffn, hidden))
        yield alone(theirs + "mlp.dense_4h_to_h.weight", ours + "ffn_down.weight", (hidden, ffn))
    yield alone("transformer.encoder.final_layernorm.weight", "output_norm.weight", (hidden,))
    yield alone("transformer.output_layer.weight", "output.weight", (vocab, hidden), config.tied)
