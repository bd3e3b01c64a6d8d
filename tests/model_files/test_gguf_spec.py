"""From GGUF keys to specs, chat formats and end tokens: what files say, leave out, or say wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import chatglm_native
import gguf
import numpy as np
import pytest

from chatglm_server.convert.mixes import MIXES
from chatglm_server.decoding.backends.chatglm_cpp import ChatGLMCppBackend
from chatglm_server.errors import ModelFileError
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from chatglm_server.model_files.weight_types import FILE_TYPES
from tests.random_gguf import (
    CHATGLM3,
    GLM4_0414,
    GLM4_9B,
    GLM4_TEMPLATE,
    Kind,
    Shape,
    add_vocabulary,
    write_random_gguf,
)


@pytest.mark.parametrize("shape", [CHATGLM3, GLM4_9B, GLM4_0414], ids=["chatglm3", "glm-4-9b", "glm-4-0414"])
def test_the_figures_of_a_file(tmp_path: Path, shape: Shape) -> None:
    file = read_model_file(write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none"))
    spec = file.spec
    assert (file.container, file.architecture, spec.architecture) == ("GGUF", shape.architecture, "chatglm")
    assert (spec.vocab_size, spec.hidden_size, spec.layers, spec.ffn_size) == (320, 256, 2, 512)
    assert (spec.heads, spec.kv_heads, spec.key_size, spec.value_size) == (8, 2, 32, 32)
    assert (spec.rotary_size, spec.rotary_layout, spec.context_length) == (16, "interleaved", 1024)
    assert spec.norm_epsilon == pytest.approx(1e-5)
    assert spec.rope_theta == shape.theta
    chatglm_native.check(spec)


def test_parameters_and_the_mix_of_types(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", GLM4_0414, [Kind.Q8_0, Kind.F16, Kind.Q8_0], vocabulary="none")
    spec = read_model_file(path).spec
    tensors = gguf.GGUFReader(path).tensors
    assert spec.parameters == sum(int(tensor.n_elements) for tensor in tensors)
    for kind, nbytes in spec.bytes_by_type.items():
        assert nbytes == sum(int(tensor.n_bytes) for tensor in tensors if tensor.tensor_type.name == kind)
    assert list(spec.bytes_by_type) == ["Q8_0", "F16", "F32"]
    assert sum(spec.bytes_by_type.values()) == spec.nbytes


def test_the_name_of_the_mix(tmp_path: Path) -> None:
    """As the file says it, by llama.cpp's numbers, or else the type that takes the most bytes."""
    names = {kind.value: kind.name.partition("_")[2] for kind in gguf.LlamaFileType}
    assert FILE_TYPES.items() <= names.items()
    assert {mix.number: name.upper() for name, mix in MIXES.items()}.items() <= FILE_TYPES.items()
    for number, name in ((15, "Q4_K_M"), (7, "Q8_0"), (None, "F16"), (999, "F16")):
        path = write_random_gguf(tmp_path / "a.gguf", GLM4_0414, [Kind.F16], vocabulary="none", file_type=number)
        assert read_model_file(path).quantization == name


GOOD: dict[str, Any] = {
    "context_length": 64,
    "embedding_length": 64,
    "block_count": 1,
    "feed_forward_length": 96,
    "attention.head_count": 4,
    "attention.layer_norm_rms_epsilon": 1e-6,
}
"""The keys without which there is no network."""


def read(tmp_path: Path, **changes: Any) -> ModelFile:
    """A file of one tensor with the good keys and these; those that are None are left out."""
    writer = gguf.GGUFWriter(tmp_path / "model.gguf", "glm4")
    add_vocabulary(writer, "none")
    for key, value in (GOOD | {name.replace("__", "."): value for name, value in changes.items()}).items():
        name = key if key.startswith(("tokenizer.", "general.")) else f"glm4.{key}"
        if isinstance(value, tuple):
            writer.add_key_value(name, *value)
        elif value is not None:
            add = {int: writer.add_uint32, float: writer.add_float32, str: writer.add_string, list: writer.add_array}
            add[type(value)](name, value)  # type: ignore[operator]
    writer.add_tensor("token_embd.weight", np.zeros((320, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return read_model_file(tmp_path / "model.gguf")


def test_what_follows_from_what_is_there(tmp_path: Path) -> None:
    spec = read(tmp_path).spec
    assert (spec.kv_heads, spec.key_size, spec.value_size, spec.rotary_size) == (4, 16, 16, 16)
    assert (spec.rope_theta, spec.rotary_layout) == (10000.0, "interleaved")


def test_numbers_of_any_width_and_by_layer(tmp_path: Path) -> None:
    kinds = gguf.GGUFValueType
    file = read(
        tmp_path,
        block_count=(3, kinds.UINT64),
        context_length=(64, kinds.INT16),
        attention__head_count_kv=[2, 2, 2],
        feed_forward_length=[96, 96, 96],
        attention__layer_norm_rms_epsilon=(1e-6, kinds.FLOAT64),
        rope__freq_base=5000000,
    )
    assert (file.spec.layers, file.spec.kv_heads, file.spec.ffn_size) == (3, 2, 96)
    assert (file.spec.norm_epsilon, file.spec.rope_theta) == (1e-6, 5e6)


@pytest.mark.parametrize(
    ("sections", "layout"), [([8, 12, 12, 0], "halves"), ([0, 0, 0, 0], "interleaved"), ([8], "interleaved")]
)
def test_sections_of_the_rotary_embedding(tmp_path: Path, sections: list[int], layout: str) -> None:
    assert read(tmp_path, rope__dimension_sections=sections).spec.rotary_layout == layout


@pytest.mark.parametrize(
    "scaling",
    [
        {"rope__scaling__type": "none"},
        {"rope__scaling__type": "none", "rope__scaling__factor": 4.0},
        {"rope__scaling__factor": 1.0},
    ],
)
def test_a_rotary_embedding_that_is_not_scaled(tmp_path: Path, scaling: dict[str, Any]) -> None:
    read(tmp_path, **scaling)


@pytest.mark.parametrize("missing", GOOD)
def test_a_key_that_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    with pytest.raises(ModelFileError, match=rf"lacks the key glm4\.{missing}"):
        read(tmp_path, **{missing: None})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"block_count": 0}, "glm4.block_count is not a whole number from 1 to"),
        ({"block_count": (-4, gguf.GGUFValueType.INT32)}, "glm4.block_count is not a whole number"),
        ({"embedding_length": (1 << 31, gguf.GGUFValueType.UINT64)}, "glm4.embedding_length is not"),
        ({"embedding_length": 64.0}, "glm4.embedding_length is not a whole number"),
        ({"embedding_length": "64"}, "glm4.embedding_length is not a whole number"),
        ({"embedding_length": (True, gguf.GGUFValueType.BOOL)}, "glm4.embedding_length is not a whole number"),
        ({"attention.head_count": 65}, "lacks the key glm4.attention.key_length"),
        ({"attention.head_count_kv": [2, 4]}, "glm4.attention.head_count_kv differs by layer"),
        ({"attention.layer_norm_rms_epsilon": 0.0}, "not a finite number above 0"),
        ({"attention.layer_norm_rms_epsilon": float("nan")}, "not a finite number above 0"),
        ({"rope.freq_base": float("inf")}, "glm4.rope.freq_base is not a finite number"),
        ({"rope.freq_base": "high"}, "glm4.rope.freq_base is not a finite number"),
        ({"rope.dimension_sections": 3}, "glm4.rope.dimension_sections is not an array"),
        ({"rope.dimension_sections": ["a", "b"]}, "glm4.rope.dimension_sections is not an array"),
        ({"rope.scaling.type": "yarn"}, "scales its rotary embedding ('yarn')"),
        ({"rope.scaling.factor": 4.0}, "scales its rotary embedding ('linear')"),
        ({"rope.scale_linear": 2.0}, "scales its rotary embedding ('linear')"),
        ({"rope.scaling.type": 1}, "glm4.rope.scaling.type is not text"),
        ({"tokenizer.ggml.eos_token_id": 320}, "tokenizer.ggml.eos_token_id is not a token id from 0 to 319"),
        ({"tokenizer.ggml.eot_token_id": "x"}, "tokenizer.ggml.eot_token_id is not a token id"),
        ({"tokenizer.chat_template": 5}, "tokenizer.chat_template is not text"),
    ],
)
def test_a_value_that_is_no_figure_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        read(tmp_path, **changes)
    assert words in caught.value.message
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("architecture", ["llama", "glm-dsa", "evil\nname"])
def test_another_architecture_is_named_with_what_serves_it(tmp_path: Path, architecture: str) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", vocabulary="none")
    path.write_bytes(path.read_bytes().replace(b"\x04\0\0\0\0\0\0\0glm4", text(architecture.encode()), 1))
    with pytest.raises(ModelFileError) as caught:
        read_model_file(path)
    assert repr(architecture) in caught.value.message
    assert "--model http://" in caught.value.message
    assert caught.value.message.isprintable()


def text(value: bytes) -> bytes:
    return len(value).to_bytes(8, "little") + value


def test_no_architecture_and_no_embedding(tmp_path: Path) -> None:
    path = write_random_gguf(tmp_path / "model.gguf", vocabulary="none")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"general.architecture", b"general.architectura", 1))
    with pytest.raises(ModelFileError, match=r"lacks the key general\.architecture"):
        read_model_file(path)
    path.write_bytes(whole.replace(b"token_embd.weight", b"token_ambd.weight", 1))
    with pytest.raises(ModelFileError, match=r"lacks the tensor token_embd\.weight"):
        read_model_file(path)


def test_the_chat_format_and_why(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    file = read_model_file(write_random_gguf(path, GLM4_0414, template=GLM4_TEMPLATE))
    assert (file.chat_format, file.chat_format_reason) == (
        "glm4-0414",
        'its chat template holds "<|system|># 可用工具"',
    )
    file = read_model_file(write_random_gguf(path, GLM4_0414, name="GLM Z1 9B 0414"))
    assert (file.chat_format, "Z1" in file.chat_format_reason) == ("glm-z1", True)
    file = read_model_file(write_random_gguf(path, CHATGLM3, vocabulary="llama"))
    assert (file.chat_format, "chatglm" in file.chat_format_reason) == ("chatglm3", True)


def test_every_end_token_that_the_file_names(tmp_path: Path) -> None:
    ends = {f"tokenizer.ggml.{name}_token_id": token for name, token in (("eos", 7), ("eot", 8), ("eom", 9))}
    assert read(tmp_path, **ends).end_tokens == {7, 8, 9}
    assert read(tmp_path).end_tokens == set()


def test_chatglm_cpp_does_not_read_gguf(tmp_path: Path) -> None:
    file = read_model_file(write_random_gguf(tmp_path / "model.gguf", vocabulary="none"))
    assert ChatGLMCppBackend().obstacle(file) == "it reads chatglm.cpp files, not GGUF"


def test_a_tensor_of_another_network_is_named(tmp_path: Path) -> None:
    """Left out, it would make the results wrong."""
    shape = replace(GLM4_0414, layers=3)
    path = write_random_gguf(tmp_path / "model.gguf", shape, vocabulary="none")
    path.write_bytes(path.read_bytes().replace(b"blk.2.attn_norm", b"blk.1.attn_gate"))
    with pytest.raises(ValueError, match=r"blk\.2\.attn_norm\.weight is missing"):
        chatglm_native.check(read_model_file(path).spec)
    with pytest.raises(ValueError, match=r"has no tensor blk\.1\.attn_gate\.weight"):
        chatglm_native.check(replace(read_model_file(path).spec, layers=2))
