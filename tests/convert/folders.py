"""Folders as Hugging Face has them, small and with random weights: written by transformers and `tokenizers`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIALS = (
    *("<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>"),
    *("<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"),
)
TEXT = [
    "The quick brown fox jumps over the lazy dog. It's 12345 o'clock, isn't it?\n\n  def f(x):\n    return x ** 2",
    "你好，世界！今天天气怎么样？我是一个人工智能助手。\n很高兴认识你 😀🎉",
]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
FLASH = "Glm4MoeLite" if hasattr(transformers, "Glm4MoeLiteConfig") else "DeepseekV3"
"""The class of GLM-4.7-Flash; older releases of transformers have the same network under another name only."""
CLASSES: dict[str, tuple[Any, Any]] = {
    "chatglm": (transformers.GlmConfig, transformers.GlmForCausalLM),
    "glm4": (transformers.Glm4Config, transformers.Glm4ForCausalLM),
    "glm4moe": (transformers.Glm4MoeConfig, transformers.Glm4MoeForCausalLM),
    "deepseek2": (getattr(transformers, f"{FLASH}Config"), getattr(transformers, f"{FLASH}ForCausalLM")),
}
"""The classes of transformers by the name that GGUF has for their networks."""


def write_folder(folder: Path, architecture: str = "glm4", **figures: Any) -> Any:
    """A model of transformers, saved in `folder` with a tokenizer; returns the model."""
    tokenizer = train_tokenizer()
    size = tokenizer.get_vocab_size()
    ends = [tokenizer.token_to_id(name) for name in ("<|endoftext|>", "<|user|>", "<|observation|>")]
    config, model = CLASSES[architecture]
    torch.manual_seed(1)
    defaults = {
        "vocab_size": -(-size // 64) * 64,
        "hidden_size": 256,
        "intermediate_size": 288,
        "num_hidden_layers": 3,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 48,
        "max_position_embeddings": 512,
        "initializer_range": 0.1,
        "pad_token_id": ends[0],
        "eos_token_id": ends,
    }
    made = model(config(**{**defaults, **figures})).eval()
    with torch.no_grad():  # transformers begins with ones in norms and zeros in biases, which would hide a mistake
        for name, values in made.named_parameters():
            if values.dim() == 1:
                values.normal_(1.0 if "norm" in name else 0.0, 0.2)
        for name, values in made.named_buffers():
            if "correction_bias" in name:
                values.normal_(0.0, 0.2)
    made.save_pretrained(folder)
    if architecture == "deepseek2":
        _name_flash(folder / "config.json")
    tokenizer.save(str(folder / "tokenizer.json"))
    template = "[gMASK]<sop>{% for message in messages %}<|user|>\n{{ message.content }}{% endfor %}<|assistant|>"
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    return made


def _name_flash(path: Path) -> None:
    names = {"architectures": ["Glm4MoeLiteForCausalLM"], "model_type": "glm4_moe_lite"}
    path.write_text(json.dumps(json.loads(path.read_text()) | names))


def train_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(TEXT * 3, trainer)
    tokenizer.add_special_tokens(list(SPECIALS))
    return tokenizer


def as_original(folder: Path, model: Any) -> None:
    """Turns the folder of a `GlmForCausalLM` into one of the original repositories: their names and their config."""
    config = model.config
    weights = load_file(folder / "model.safetensors")
    renamed: dict[str, torch.Tensor] = {}
    parts: dict[str, torch.Tensor] = {}
    for name, values in weights.items():
        if ".self_attn." in name and "o_proj" not in name:
            parts[name] = values
            continue
        for ours, theirs in (
            ("model.embed_tokens", "transformer.embedding.word_embeddings"),
            ("model.layers.", "transformer.encoder.layers."),
            ("self_attn.o_proj", "self_attention.dense"),
            ("mlp.gate_up_proj", "mlp.dense_h_to_4h"),
            ("mlp.down_proj", "mlp.dense_4h_to_h"),
            ("model.norm", "transformer.encoder.final_layernorm"),
            ("lm_head", "transformer.output_layer"),
        ):
            name = name.replace(ours, theirs)
        renamed[name] = values
    for layer in range(config.num_hidden_layers):
        for kind in ("weight", "bias"):
            joined = [parts[f"model.layers.{layer}.self_attn.{name}_proj.{kind}"] for name in "qkv"]
            renamed[f"transformer.encoder.layers.{layer}.self_attention.query_key_value.{kind}"] = torch.cat(joined)
    renamed["transformer.rotary_pos_emb.inv_freq"] = torch.ones(config.head_dim // 4)
    save_file(renamed, folder / "model.safetensors")
    figures = {
        "architectures": ["ChatGLMModel"],
        "model_type": "chatglm",
        "num_layers": config.num_hidden_layers,
        "hidden_size": config.hidden_size,
        "ffn_hidden_size": config.intermediate_size,
        "num_attention_heads": config.num_attention_heads,
        "multi_query_attention": True,
        "multi_query_group_num": config.num_key_value_heads,
        "kv_channels": config.head_dim,
        "layernorm_epsilon": config.rms_norm_eps,
        "padded_vocab_size": config.vocab_size,
        "seq_length": config.max_position_embeddings,
        "rope_ratio": config.rope_theta / 10000,
        "add_qkv_bias": True,
        "add_bias_linear": False,
        "rmsnorm": True,
        "post_layer_norm": True,
        "original_rope": True,
        "apply_residual_connection_post_layernorm": False,
        "eos_token_id": config.eos_token_id,
    }
    (folder / "config.json").write_text(json.dumps(figures))
