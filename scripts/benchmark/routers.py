"""What the routers of a network with experts say: in the core, in llama.cpp, and in exact arithmetic."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import chatglm_native
import llama_cpp
import numpy as np
import numpy.typing as npt

from chatglm_server.model_files.spec import ModelSpec, TensorSpec
from tests.expert_reference import ExpertReference
from tests.reference import Array, decode

F32, Q8_0 = 0, 8
"""ggml's numbers."""
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """What a reader makes of some tokens, `used` experts each: the routers' scores (layers, tokens, experts), before
    the sigmoid, and the logits (tokens, vocab).
    """

    used: int
    scores: Array
    logits: Array

    @property
    def ranks(self) -> Array:
        """What a router without biases chooses by."""
        made: Array = 1 / (1 + np.exp(-self.scores))
        return made

    @property
    def chosen(self) -> npt.NDArray[np.bool_]:
        """(layers, tokens, experts)"""
        chosen = np.zeros(self.scores.shape, bool)
        best = np.argsort(-self.ranks, axis=2, kind="stable")[..., : self.used]
        np.put_along_axis(chosen, best, True, axis=2)
        return chosen

    @property
    def margins(self) -> Array:
        """(layers, tokens): how much better the last expert that was chosen is than the first that was not."""
        ordered = np.sort(self.ranks, axis=2)
        made: Array = ordered[..., -self.used] - ordered[..., -self.used - 1]
        return made


def core_run(spec: ModelSpec, ids: Sequence[int], folder: Path) -> Run:
    """The core does not tell what its routers say. But the logits of a network that ends with the router of a layer,
    instead of its experts, are the scores of this router, to the bit. `folder` takes what such networks need.
    """
    rows = [(0, place, token) for place, token in enumerate(ids)]

    def logits(network: ModelSpec) -> Array:
        model = chatglm_native.Model(chatglm_native.ThreadPool(1), network, context=len(ids), slots=1, cpu="auto")
        return np.from_dlpack(model.forward(rows, list(range(len(rows))))).astype(np.float64)

    used, count, layers = _experts(spec)
    scores = [logits(_up_to_router(spec, layer, folder))[:, :count] for layer in layers]
    return Run(used, np.array(scores), logits(spec))


def _experts(spec: ModelSpec) -> tuple[int, int, range]:
    """How many experts a token uses, how many there are, and the layers that have some."""
    assert spec.experts is not None
    return spec.experts.used, spec.experts.count, range(spec.experts.dense_layers, spec.layers)


def _up_to_router(spec: ModelSpec, layer: int, folder: Path) -> ModelSpec:
    """The experts of the layer answer with zeros; its router, filled up with rows of zeros, is the output matrix."""
    prefix = f"blk.{layer}."
    tensors = {
        name: tensor
        for name, tensor in spec.tensors.items()
        if not name.startswith("blk.") or int(name.split(".")[1]) <= layer
    }
    for name in (f"{prefix}ffn_down_exps.weight", f"{prefix}ffn_down_shexp.weight"):
        shape = tensors[name].shape
        zeros, size = folder / name, prod(shape) // 32 * 34
        with zeros.open("wb") as file:
            file.truncate(size)
        tensors[name] = TensorSpec(zeros, Q8_0, shape, 0, size)
    router = tensors[f"{prefix}ffn_gate_inp.weight"]
    output = np.zeros((spec.vocab_size, spec.hidden_size), np.float32)
    output[: router.shape[0]] = np.fromfile(router.path, "<f4", prod(router.shape), offset=router.offset).reshape(
        router.shape
    )
    path = folder / f"{prefix}output"
    path.write_bytes(output.tobytes())
    tensors["output.weight"] = TensorSpec(path, F32, output.shape, 0, output.nbytes)
    tensors["output_norm.weight"] = tensors[f"{prefix}ffn_norm.weight"]
    return replace(spec, layers=layer + 1, tensors=tensors)


def llama_cpp_run(spec: ModelSpec, ids: Sequence[int], *, repack: bool = True, at_once: int = 512) -> Run:
    """llama.cpp calls back for each tensor that it computes, so those of the routers can be read."""
    ggml = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    ggml.ggml_get_name.restype, ggml.ggml_nbytes.restype = ctypes.c_char_p, ctypes.c_size_t
    used, count, layers = _experts(spec)
    found: dict[int, list[Floats]] = {layer: [] for layer in layers}

    def look(tensor: int, ask: bool, data: object) -> bool:
        """Asks for the routers' scores, and takes them."""
        name, _, layer = ggml.ggml_get_name(ctypes.c_void_p(tensor)).decode().rpartition("-")
        if name == "ffn_moe_logits" and not ask:
            scores = np.empty(ggml.ggml_nbytes(ctypes.c_void_p(tensor)) // 4, np.float32)
            to, size = scores.ctypes.data_as(ctypes.c_void_p), ctypes.c_size_t(scores.nbytes)
            ggml.ggml_backend_tensor_get(ctypes.c_void_p(tensor), to, ctypes.c_size_t(0), size)
            found[int(layer)].append(scores.reshape(-1, count))
        return name == "ffn_moe_logits" or not ask

    callback = llama_cpp.ggml_backend_sched_eval_callback(look)
    model_options, options = llama_cpp.llama_model_default_params(), llama_cpp.llama_context_default_params()
    model_options.n_gpu_layers, model_options.use_extra_bufts = 0, repack
    options.n_ctx, options.n_threads, options.n_threads_batch = len(ids), 1, 1
    options.cb_eval = callback
    model = llama_cpp.llama_model_load_from_file(str(spec.path).encode(), model_options)
    context = llama_cpp.llama_init_from_model(model, options)
    batch, logits = llama_cpp.llama_batch_init(at_once, 0, 1), []
    for begin in range(0, len(ids), at_once):
        batch.n_tokens = len(ids[begin : begin + at_once])
        for place, token in enumerate(ids[begin : begin + at_once]):
            batch.token[place], batch.pos[place], batch.logits[place] = token, begin + place, True
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
        assert llama_cpp.llama_decode(context, batch) == 0
        for place in range(batch.n_tokens):
            row: Any = llama_cpp.llama_get_logits_ith(context, place)
            logits.append(np.ctypeslib.as_array(row, (spec.vocab_size,)).astype(np.float64))
    llama_cpp.llama_batch_free(batch)
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return Run(used, np.array([np.concatenate(found[layer]) for layer in layers], np.float64), np.array(logits))


@dataclass(frozen=True)
class Stack:
    """The matrices of a tensor, decoded one at a time: all of them would not fit into memory."""

    tensor: TensorSpec

    def __getitem__(self, index: int) -> Array:
        count, rows, columns = self.tensor.shape
        nbytes = self.tensor.nbytes // count
        data = np.fromfile(self.tensor.path, np.uint8, nbytes, offset=self.tensor.offset + index * nbytes)
        return decode(self.tensor.type, (rows, columns), data.tobytes())


class ExactRouters(ExpertReference):
    """NumPy in float64, of the numbers that the file's blocks stand for."""

    def __init__(self, spec: ModelSpec) -> None:
        stacks = {name: tensor for name, tensor in spec.tensors.items() if name.endswith("_exps.weight")}
        others = {name: tensor for name, tensor in spec.tensors.items() if name not in stacks}
        super().__init__(replace(spec, tensors=others))
        self._weights |= {name: Stack(tensor) for name, tensor in stacks.items()}  # type: ignore[misc]
        self._scores: list[Array] = []

    def run(self, ids: Sequence[int]) -> Run:
        self._scores.clear()
        logits = self.logits(ids)
        return Run(self._experts.used, np.array(self._scores), logits)

    def _linear(self, name: str, x: Array) -> Array:
        made = super()._linear(name, x)
        if name.endswith("ffn_gate_inp"):
            self._scores.append(made)
        return made
