"""From a checked GGUF file to a `ModelSpec`: the architectures ``chatglm`` and ``glm4``.

Both are the compute core's network "chatglm" with other figures: GLM-4-0414 (``glm4``) has two more norms in a layer,
and no biases. The keys are those that llama.cpp reads (``src/models/chatglm.cpp``, ``glm4.cpp``).
"""

from __future__ import annotations

from ..errors import ModelFileError
from .gguf import GGUFFile
from .gguf_keys import ModelKeys
from .spec import ModelSpec, RotaryLayout

ARCHITECTURES = ("chatglm", "glm4")


def model_spec(file: GGUFFile) -> ModelSpec:
    """The network and the weights of a file. Raises: ModelFileError."""
    keys = ModelKeys(file)
    if keys.architecture not in ARCHITECTURES:
        raise ModelFileError(
            f"{file.path}: holds a model of the architecture {keys.architecture!r:.80}; this server runs "
            f"{' and '.join(ARCHITECTURES)} itself, and --model http://… in front of llama-server serves the others"
        )
    _refuse_scaled_rotation(file, keys)
    embedding = file.tensors.get("token_embd.weight")
    if embedding is None:
        raise ModelFileError(f"{file.path}: the file lacks the tensor token_embd.weight")
    hidden, heads = keys.size("embedding_length"), keys.size("attention.head_count")
    key_size = keys.size("attention.key_length", hidden // heads or None)
    return ModelSpec(
        path=file.path,
        architecture="chatglm",
        vocab_size=embedding.shape[0],
        hidden_size=hidden,
        layers=keys.size("block_count"),
        heads=heads,
        kv_heads=keys.size("attention.head_count_kv", heads),
        key_size=key_size,
        value_size=keys.size("attention.value_length", hidden // heads or None),
        rotary_size=keys.size("rope.dimension_count", key_size),
        rotary_layout=_rotary_layout(keys),
        ffn_size=keys.size("feed_forward_length"),
        context_length=keys.size("context_length"),
        norm_epsilon=keys.number("attention.layer_norm_rms_epsilon"),
        rope_theta=keys.number("rope.freq_base", 10000.0),
        tensors=file.tensors,
    )


def _rotary_layout(keys: ModelKeys) -> RotaryLayout:
    """Models that see (GLM-4.1V) give parts of a head a position each. In text these positions are all the same, and
    what is left is that their queries and keys are stored in the order of halves.
    """
    sections = keys.numbers("rope.dimension_sections")
    return "halves" if len(sections) > 1 and min(sections[:2]) > 0 else "interleaved"


def _refuse_scaled_rotation(file: GGUFFile, keys: ModelKeys) -> None:
    """A scaled rotary embedding gives other angles, so running without it would be wrong."""
    kind = keys.text("rope.scaling.type")
    factors = [name for name in ("rope.scaling.factor", "rope.scale_linear") if keys.has(name)]
    if kind not in (None, "none") or (kind is None and any(keys.number(name) != 1 for name in factors)):
        raise ModelFileError(
            f"{file.path}: the file scales its rotary embedding ({kind or 'linear'!r:.40}), which this server does not "
            "run; --model http://… in front of llama-server serves it"
        )
