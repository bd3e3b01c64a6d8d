"""Folders of the original repositories, whose tokenizers are ``tokenizer.model``, and chatglm.cpp files of the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from safetensors.numpy import save_file

from chatglm_server.convert.conversion import convert
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.chatglm_bin import ChatGLMBin, read_chatglm_bin
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from tests.convert.test_huggingface import NASTY
from tests.decoding.test_gguf_network import logits
from tests.reference import decode
from tests.serving import RunningServer, user

DEMOS = Path(__file__).parent.parent.parent / "models"


def write_original_folder(file: ChatGLMBin, folder: Path) -> None:
    """The folder that a chatglm.cpp file could have been converted from: its decoded weights."""
    folder.mkdir()
    data = file.path.read_bytes()
    tensors = {
        tensor.name: decode(tensor.type, tensor.shape, data[tensor.offset : tensor.offset + tensor.nbytes])
        for tensor in file.tensors
    }
    save_file({name: values.astype(np.float32) for name, values in tensors.items()}, folder / "model.safetensors")
    head = file.header
    config = {
        "architectures": ["ChatGLMModel"],
        "model_type": "chatglm",
        "num_layers": head.num_hidden_layers,
        "hidden_size": head.hidden_size,
        "ffn_hidden_size": head.intermediate_size,
        "num_attention_heads": head.num_attention_heads,
        "multi_query_attention": True,
        "multi_query_group_num": head.num_key_value_heads,
        "kv_channels": head.hidden_size // head.num_attention_heads,
        "layernorm_epsilon": head.norm_eps,
        "padded_vocab_size": head.vocab_size,
        "seq_length": head.max_length,
        "eos_token_id": head.eos_token_id,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(file.tokenizer)


@pytest.fixture(scope="module", params=["demo-chatglm3", "demo-glm4"])
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ModelFile]]:
    """A chatglm.cpp file, its copy as GGUF, and GGUF from a folder of its weights."""
    folder = tmp_path_factory.mktemp("original")
    path = DEMOS / f"{request.param}.bin"
    write_original_folder(read_chatglm_bin(path), folder / request.param)
    convert(path, folder / "copy.gguf", None, 1, lambda size: lambda count: None)
    convert(folder / request.param, folder / "folder.gguf", "f32", 1, lambda size: lambda count: None)
    yield [read_model_file(file) for file in (path, folder / "copy.gguf", folder / "folder.gguf")]


def test_the_same_model(models: list[ModelFile]) -> None:
    bin_file, copy, from_folder = models
    assert copy.chat_format == from_folder.chat_format == bin_file.chat_format
    ids = [int(token) for token in np.random.default_rng(0).integers(0, bin_file.spec.vocab_size, 40)]
    expected = logits(bin_file.spec, ids)
    assert (logits(copy.spec, ids) == expected).all()
    found = logits(from_folder.spec, ids)
    assert (found.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9  # its activations are not quantized


def test_the_same_tokens(models: list[ModelFile]) -> None:
    chat_format = FORMATS[models[0].chat_format]
    expected, *others = (file.load_tokenizer(chat_format) for file in models)
    for tokenizer in others:
        assert tokenizer.specials.items() >= expected.specials.items()
        for text in NASTY:
            assert tokenizer.encode_text(text) == expected.encode_text(text), text
        for token in range(expected.size):
            assert tokenizer.token_bytes(token) == expected.token_bytes(token)
    for file in models[1:]:
        names = {"<|user|>", "<|observation|>"} & expected.specials.keys()
        assert file.end_tokens >= models[0].end_tokens | {expected.specials[name] for name in names}


def test_served_they_say_the_same(models: list[ModelFile]) -> None:
    answers = []
    for file in models[:2]:
        with RunningServer("--model", str(file.path), "--threads", "1") as server:
            body = {"model": "default-model", "messages": user("你好"), "temperature": 0, "max_tokens": 40}
            answer = httpx.post(f"{server.url}/v1/chat/completions", json=body, timeout=60)
            answers.append(answer.json()["choices"])
    assert answers[0] == answers[1]
    assert answers[0][0]["message"]["content"]
