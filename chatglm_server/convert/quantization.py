"""A model of floating-point weights as the contents of a GGUF file of some mix of types."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import dataclass

from .contents import Contents
from .float_tensors import FloatTensor, encoded
from .gguf_writer import Value
from .mixes import Mix, tensor_type


@dataclass(frozen=True)
class FloatModel:
    """The metadata of a model but for its types, and its tensors by GGUF's names."""

    metadata: dict[str, Value]
    layers: int
    heads_per_value: int
    tensors: tuple[FloatTensor, ...]


def quantized(model: FloatModel, mix: Mix, pool: Executor, threads: int) -> Contents:
    """The model in the types of `mix`. The tensors are encoded when they are written, in `threads` tasks at a time."""
    names = {tensor.name for tensor in model.tensors}
    output = "output.weight" if "output.weight" in names else "token_embd.weight"
    tensors = []
    for tensor in model.tensors:
        number = tensor_type(
            *(mix, tensor.name, tensor.shape),
            layers=model.layers,
            heads_per_value=model.heads_per_value,
            is_output=tensor.name == output,
        )
        tensors.append(encoded(tensor, number, pool, threads))
    kinds = {"general.file_type": mix.number, "general.quantization_version": 2}
    return Contents({**model.metadata, **kinds}, tuple(tensors))
