"""From chatglm.cpp files to specs: the core runs those that it can, and says of the others why not."""

from __future__ import annotations

import struct
from pathlib import Path

import chatglm_native
import numpy as np
import numpy.typing as npt
import pytest
from chatglm_bin_writer import DType, ModelHeader, ModelType, tensor_shapes, write_model

from chatglm_server.decoding.backends.native import native_obstacle
from chatglm_server.errors import ModelFileError
from chatglm_server.loader import load_engine
from chatglm_server.model_files.chatglm_bin import ChatGLMBin, read_chatglm_bin
from chatglm_server.model_files.chatglm_bin_layout import ALIGNMENT
from chatglm_server.model_files.chatglm_bin_spec import model_spec
from chatglm_server.model_files.spec import ModelSpec
from chatglm_server.settings import Settings
from tests.random_models import sentencepiece_proto, write_random_model


def test_the_figures_that_a_header_implies(tmp_path: Path) -> None:
    spec = model_spec(read_chatglm_bin(write_random_model(tmp_path / "model.bin", hidden=128)))
    assert (spec.architecture, spec.vocab_size, spec.hidden_size, spec.layers) == ("chatglm", 512, 128, 2)
    assert (spec.heads, spec.kv_heads, spec.key_size, spec.value_size) == (4, 2, 32, 32)
    assert (spec.rotary_size, spec.rotary_layout, spec.ffn_size) == (16, "interleaved", 256)
    assert spec.norm_epsilon == pytest.approx(1e-5)
    assert (spec.context_length, spec.rope_theta) == (256, 10000)
    assert spec.cache_bytes == 2 * 2 * (2 * (32 + 32) + 8)
    assert spec.nbytes == sum(tensor.nbytes for tensor in read_chatglm_bin(spec.path).tensors)


def test_chatglm_cpp_has_one_type_of_cache(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.bin")
    with pytest.raises(ModelFileError, match="it keeps keys and values in 16 bits: leave out --kv-cache-type"):
        load_engine(Settings(_env_file=None, model=str(path), engine="chatglm-cpp", kv_cache_type="q8"))


def test_every_tensor_has_its_name(tmp_path: Path) -> None:
    spec = model_spec(read_chatglm_bin(write_random_model(tmp_path / "model.bin", ModelType.CHATGLM4)))
    layer = ["attn_norm.weight", "attn_qkv.weight", "attn_qkv.bias", "attn_output.weight", "ffn_norm.weight"]
    layer += ["ffn_up.weight", "ffn_down.weight"]
    names = {"token_embd.weight", "output_norm.weight", "output.weight"}
    assert spec.tensors.keys() == names | {f"blk.{number}.{name}" for number in range(2) for name in layer}


def test_chatglm_6b_is_another_network(tmp_path: Path) -> None:
    path = write_random_model(tmp_path / "model.bin", ModelType.CHATGLM)
    spec = model_spec(read_chatglm_bin(path))
    assert "blk.1.attn_output.bias" in spec.tensors
    assert not [name for name in spec.tensors if "transformer" in name]
    assert native_obstacle(spec) == "the architecture is chatglm-6b; the core runs chatglm, deepseek2, glm4moe"
    with pytest.raises(ModelFileError, match=r"cannot run it: the architecture is chatglm-6b.*; try --engine"):
        load_engine(Settings(_env_file=None, model=str(path), engine="native"))


def test_p_tuned_models_are_another_network(tmp_path: Path) -> None:
    header = ModelHeader(ModelType.CHATGLM2, 512, 64, 4, 2, 2, 128, 256, 2, num_virtual_tokens=8)
    tensors = {name: np.ones(shape) for name, shape in tensor_shapes(header)}
    write_model(tmp_path / "model.bin", header, sentencepiece_proto(), tensors, DType.F16)
    spec = model_spec(read_chatglm_bin(tmp_path / "model.bin"))
    assert native_obstacle(spec) == "the architecture is chatglm-p-tuned; the core runs chatglm, deepseek2, glm4moe"


@pytest.mark.parametrize("dtype", [DType.F16, DType.Q4_0], ids=lambda dtype: dtype.name)
def test_a_feed_forward_matrix_in_two_parts(dtype: DType, tmp_path: Path) -> None:
    """The gate's and the other half, as chatglm.cpp's newer converter writes them: the same logits."""
    joined = read_chatglm_bin(write_random_model(tmp_path / "joined.bin", dtype=dtype))
    apart = read_chatglm_bin(write_apart(joined, tmp_path / "apart.bin"))
    assert len(apart.tensors) == len(joined.tensors) + 2
    assert np.array_equal(logits(model_spec(apart)), logits(model_spec(joined)))


def write_apart(file: ChatGLMBin, path: Path) -> Path:
    """A copy whose first feed-forward matrices are stored as two tensors."""
    data = file.path.read_bytes()
    end_of_tokenizer = data.index(file.tokenizer) + len(file.tokenizer)
    with path.open("wb") as copy:
        copy.write(data[:end_of_tokenizer])
        for tensor in file.tensors:
            prefix, split, _ = tensor.name.partition("dense_h_to_4h.weight")
            names = [f"{prefix}{half}_proj.weight" for half in ("gate", "up")] if split else [tensor.name]
            shape = (tensor.shape[0] // len(names), *tensor.shape[1:])
            size = tensor.nbytes // len(names)
            for number, name in enumerate(names):
                copy.write(struct.pack("<i", len(name)) + name.encode())
                copy.write(struct.pack(f"<i{len(shape)}ii", len(shape), *shape, tensor.type))
                copy.write(bytes(-copy.tell() % ALIGNMENT))
                copy.write(data[tensor.offset + number * size : tensor.offset + (number + 1) * size])
    return path


def logits(spec: ModelSpec) -> npt.NDArray[np.float32]:
    model = chatglm_native.Model(chatglm_native.ThreadPool(1), spec, context=64, slots=1)
    rows = [(0, place, 7 * place + 3) for place in range(40)]
    return np.asarray(np.from_dlpack(model.forward(rows, list(range(40)))), np.float32)
