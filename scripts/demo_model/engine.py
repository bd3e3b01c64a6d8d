"""The real engine: encodes text for training and runs finished files, through chatglm_cpp."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import chatglm_cpp
import numpy as np

from chatglm_server.engine.model_writer import DType, ModelHeader, tensor_shapes, write_model

from .sequences import Encode

NO_LIMIT = 1 << 30
PREFIX = 2
"""`encode` of the engine's tokenizers puts [gMASK] and sop in front."""


def engine_encode(pipeline: chatglm_cpp.Pipeline) -> Encode:
    """The pipeline's own tokenizer, for one part of a prompt."""
    return lambda text: list(pipeline.tokenizer.encode(text, NO_LIMIT)[PREFIX:])


def tokenizer_only(header: ModelHeader, tokenizer: bytes) -> chatglm_cpp.Pipeline:
    """A pipeline for its tokenizer alone: the weights are zeros."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "empty.bin")
        tensors = {name: np.zeros(shape, np.float32) for name, shape in tensor_shapes(header)}
        write_model(path, header, tokenizer, tensors, DType.F16)
        return chatglm_cpp.Pipeline(str(path))


@dataclass
class Runner:
    """Greedy generation from a model file."""

    pipeline: chatglm_cpp.Pipeline
    stops: frozenset[int]

    def generate(self, prompt: list[int], most: int = 160) -> list[int]:
        """The new ids, the one that ends the answer included."""
        config = chatglm_cpp._C.GenerationConfig(
            max_length=4096,
            max_context_length=4096,
            do_sample=False,
            top_k=0,
            top_p=1.0,
            temperature=1.0,
            repetition_penalty=1.0,
        )
        ids = list(prompt)
        past = 0
        for _ in range(most):
            token = self.pipeline.model.generate_next_token(ids, None, config, past, len(prompt))
            past = len(ids)
            ids.append(token)
            if token in self.stops:
                break
        return ids[len(prompt) :]
