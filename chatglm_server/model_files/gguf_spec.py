"""From a checked GGUF file to a `ModelSpec`.

The architectures ``chatglm`` and ``glm4`` are the compute core's network "chatglm" with other figures: GLM-4-0414
(``glm4``) has two more norms in a layer, and no biases. ``glm4moe`` (GLM-4.5-Air) and ``deepseek2`` (GLM-4.7-Flash; old
files of Ollama say ``glm4moelite``) have experts. The keys are those that llama.cpp reads (``src/models``).
"""

from __future__ import annotations

import re

from ..errors import ModelFileError
from .gguf import GGUFFile
from .gguf_keys import ModelKeys
from .spec import ExpertFigures, LatentFigures, ModelSpec, RotaryLayout, TensorSpec

ARCHITECTURES = {
    "chatglm": "chatglm",
    "glm4": "chatglm",
    "glm4moe": "glm4moe",
    "deepseek2": "deepseek2",
    "glm4moelite": "deepseek2",
}
"""The compute core's network for GGUF's names of architectures."""

_SIGMOID = 2
_BLOCK = re.compile(r"blk\.(\d{1,9})\.")


def model_spec(file: GGUFFile) -> ModelSpec:
    """The network and the weights of a file. Raises: ModelFileError."""
    keys = ModelKeys(file)
    network = ARCHITECTURES.get(keys.architecture or "")
    if network is None:
        raise ModelFileError(
            f"{file.path}: holds a model of the architecture {keys.architecture!r:.80}; this server runs "
            f"{', '.join(ARCHITECTURES)} itself, and --model http://… in front of llama-server serves the others"
        )
    _refuse_scaled_rotation(file, keys)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise ModelFileError(f"{file.path}: the file lacks the tensor token_embd.weight")
    latent = _latent(keys) if network == "deepseek2" else None
    hidden, heads = keys.size("embedding_length"), keys.size("attention.head_count")
    # of latent attention the plain names are the sizes of what is cached
    form = "_mla" if latent is not None and keys.has("attention.key_length_mla") else ""
    key_size = keys.size(f"attention.key_length{form}", hidden // heads or None)
    layers = _trunk_layers(file, keys)
    return ModelSpec(
        path=file.path,
        architecture=network,
        vocab_size=embedding.shape[0],
        hidden_size=hidden,
        layers=layers,
        heads=heads,
        kv_heads=1 if latent is not None else keys.size("attention.head_count_kv", heads),
        key_size=key_size,
        value_size=keys.size(f"attention.value_length{form}", hidden // heads or None),
        rotary_size=keys.size("rope.dimension_count", key_size),
        rotary_layout=_rotary_layout(keys),
        ffn_size=keys.size("feed_forward_length"),
        context_length=keys.size("context_length"),
        norm_epsilon=keys.number("attention.layer_norm_rms_epsilon"),
        rope_theta=keys.number("rope.freq_base", 10000.0),
        tensors=_trunk_tensors(file, layers),
        latent=latent,
        experts=None if network == "chatglm" else _experts(file, keys),
    )


def _trunk_layers(file: GGUFFile, keys: ModelKeys) -> int:
    """The layers but those at the end that predict one token more (MTP)."""
    layers, extra = keys.size("block_count"), keys.count("nextn_predict_layers")
    if extra >= layers:
        raise ModelFileError(f"{file.path}: all {layers} layers of the file are for prediction of one token more")
    return layers - extra


def _trunk_tensors(file: GGUFFile, layers: int) -> dict[str, TensorSpec]:
    """The tensors that an answer needs; a file may hold those of the layers behind the trunk, or lack them."""
    blocks = {name: _BLOCK.match(name) for name in file.tensors}
    return {
        name: tensor
        for name, tensor in file.tensors.items()
        if (block := blocks[name]) is None or int(block[1]) < layers
    }


def _latent(keys: ModelKeys) -> LatentFigures:
    return LatentFigures(keys.size("attention.q_lora_rank"), keys.size("attention.kv_lora_rank"))


def _experts(file: GGUFFile, keys: ModelKeys) -> ExpertFigures:
    """Files from before 2026 do not name the gate of GLM-4.7-Flash."""
    gate = keys.count("expert_gating_func", _SIGMOID)
    wrong = {
        f"expert_gating_func = {gate}": gate != _SIGMOID,
        "expert_group_count above 1": keys.count("expert_group_count") > 1,
        "expert_weights_norm = false": not keys.flag("expert_weights_norm", True),
    }
    for what in (name for name, found in wrong.items() if found):
        raise ModelFileError(
            f"{file.path}: the file says {keys.architecture}.{what}: its experts are not those of a GLM model; "
            "--model http://… in front of llama-server serves it"
        )
    size = keys.size("expert_feed_forward_length")
    return ExpertFigures(
        count=keys.size("expert_count"),
        used=keys.size("expert_used_count"),
        ffn_size=size,
        shared_ffn_size=size * keys.size("expert_shared_count"),
        dense_layers=keys.count("leading_dense_block_count"),
        scale=keys.number("expert_weights_scale", 1.0),
    )


def _rotary_layout(keys: ModelKeys) -> RotaryLayout:
    """Models that see (GLM-4.1V) give parts of a head a position each. In text these positions are all the same, and
    what is left is that their queries and keys are stored in the order of halves, as all of GLM-4.5 are.
    """
    sections = keys.numbers("rope.dimension_sections")
    seeing = len(sections) > 1 and min(sections[:2]) > 0
    return "halves" if seeing or keys.architecture == "glm4moe" else "interleaved"


def _refuse_scaled_rotation(file: GGUFFile, keys: ModelKeys) -> None:
    """A scaled rotary embedding gives other angles, so running without it would be wrong."""
    kind = keys.text("rope.scaling.type")
    factors = [name for name in ("rope.scaling.factor", "rope.scale_linear") if keys.has(name)]
    if kind not in (None, "none") or (kind is None and any(keys.number(name) != 1 for name in factors)):
        raise ModelFileError(
            f"{file.path}: the file scales its rotary embedding ({kind or 'linear'!r:.40}), which this server does not "
            "run; --model http://… in front of llama-server serves it"
        )
