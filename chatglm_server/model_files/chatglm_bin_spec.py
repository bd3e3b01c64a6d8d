"""From a checked chatglm.cpp file to a `ModelSpec`: the figures that its header implies, and GGUF's names."""

from __future__ import annotations

from .chatglm_bin import ChatGLMBin
from .chatglm_bin_layout import ModelType
from .spec import ModelSpec, TensorSpec

_NAMES = {
    "transformer.embedding.word_embeddings": "token_embd",
    "transformer.encoder.final_layernorm": "output_norm",
    "transformer.output_layer": "output",
    # ChatGLM-6B
    "transformer.word_embeddings": "token_embd",
    "transformer.final_layernorm": "output_norm",
    "lm_head": "output",
}
_LAYERS = ("transformer.encoder.layers.", "transformer.layers.")
_LAYER_NAMES = {
    "input_layernorm": "attn_norm",
    "self_attention.query_key_value": "attn_qkv",
    "self_attention.dense": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.dense_h_to_4h": "ffn_up",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.dense_4h_to_h": "ffn_down",
    # ChatGLM-6B
    "attention.query_key_value": "attn_qkv",
    "attention.dense": "attn_output",
}


def model_spec(file: ChatGLMBin) -> ModelSpec:
    """The network and the weights of a file.

    ChatGLM-6B and P-tuned models have an architecture of their own: they compute something else with such tensors.
    """
    head = file.header
    head_size = head.hidden_size // head.num_attention_heads
    architecture = "chatglm"
    if head.model_type == ModelType.CHATGLM:
        architecture = "chatglm-6b"
    elif head.num_virtual_tokens:
        architecture = "chatglm-p-tuned"
    return ModelSpec(
        path=file.path,
        architecture=architecture,
        vocab_size=head.vocab_size,
        hidden_size=head.hidden_size,
        layers=head.num_hidden_layers,
        heads=head.num_attention_heads,
        kv_heads=head.num_key_value_heads,
        key_size=head_size,
        value_size=head_size,
        rotary_size=head_size // 2,
        rotary_layout="interleaved",
        ffn_size=head.intermediate_size,
        context_length=head.max_length,
        norm_epsilon=head.norm_eps,
        rope_theta=head.rope_theta,
        tensors={
            _gguf_name(tensor.name): TensorSpec(file.path, tensor.type, tensor.shape, tensor.offset, tensor.nbytes)
            for tensor in file.tensors
        },
    )


def _gguf_name(name: str) -> str:
    """A checked file has no names but these."""
    stem, _, kind = name.rpartition(".")
    if stem in _NAMES:
        return f"{_NAMES[stem]}.{kind}"
    for prefix in _LAYERS:
        number, _, rest = stem.removeprefix(prefix).partition(".")
        if rest in _LAYER_NAMES and stem.startswith(prefix):
            return f"blk.{number}.{_LAYER_NAMES[rest]}.{kind}"
    return name
