"""From a Hugging Face folder to a model that can be written as GGUF."""

from __future__ import annotations

import os
from pathlib import Path

from .config import read_config
from .contents import network_keys
from .float_tensors import FloatTensor
from .folder_tokenizer import tokenizer_keys
from .quantization import FloatModel
from .safetensors_folder import read_folder
from .tensor_names import named_tensors


def read_huggingface(folder: Path) -> FloatModel:
    """The model of a folder: ChatGLM3, GLM-4-9B (both forms), GLM-4-0414, GLM-Z1, GLM-4.5-Air and GLM-4.7-Flash.

    Raises: ModelFileError, whose message is one line.
    """
    config = read_config(folder)
    stored = named_tensors(config, read_folder(folder))
    spec = config.spec
    return FloatModel(
        metadata={
            "general.architecture": config.architecture,
            "general.name": os.fsencode(folder.resolve().name).decode(errors="replace"),
            **network_keys(config.architecture, spec),
            **tokenizer_keys(folder, spec.vocab_size, config.end_tokens),
        },
        layers=spec.layers,
        heads_per_value=spec.heads // spec.kv_heads,
        tensors=tuple(FloatTensor(name, tensor.shape, tensor.rows) for name, tensor in stored.items()),
    )
