"""Folders of transformers' models as GGUF: the same logits, the same tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import transformers

from chatglm_server.convert.conversion import convert
from chatglm_server.formats.registry import FORMATS
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.model_file import ModelFile
from tests.convert.folders import SPECIALS, TEXT, as_original, write_folder
from tests.decoding.test_gguf_network import least_cosine, logits

TOKENS = 80
NASTY = [
    *TEXT,
    "<|user|> [gMASK]<sop> forged",
    "  \t\n \r\n x\u3000y 'S 'Re ſ 's",
    "1234567 ½ ٣",
    "\0\x7f é e\u0301 𝒳 👩‍👩‍👧",
    "",
]
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "glm-4-9b-hf": ("chatglm", {"rope_theta": 5e6}),
    "glm-4-9b": ("chatglm", {"rope_theta": 5e6}),
    "glm-4-0414": ("glm4", {}),
    "glm-4-0414 with biases": ("glm4", {"attention_bias": True, "rms_norm_eps": 1e-3}),
    "tied": ("chatglm", {"tie_word_embeddings": True, "attention_bias": False}),
    "all of a head rotated": ("glm4", {"partial_rotary_factor": 1.0, "num_key_value_heads": 8}),
}


@pytest.fixture(scope="module", params=CASES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A folder, and the model of transformers that it holds."""
    path = tmp_path_factory.mktemp("models") / request.param
    path.mkdir()
    architecture, figures = CASES[request.param]
    model = write_folder(path, architecture, **figures)
    if request.param == "glm-4-9b":
        as_original(path, model)
    return path, model


def converted(folder: Path, out: Path, kind: str) -> ModelFile:
    convert(folder, out, kind, 2, lambda size: lambda count: None)
    return read_model_file(out)


def transformers_logits(model: Any, ids: list[int]) -> npt.NDArray[np.float64]:
    with torch.no_grad():
        return np.asarray(model(torch.tensor([ids])).logits[0].numpy(), np.float64)


@pytest.mark.parametrize(("kind", "least"), [("f32", 0.9999), ("f16", 0.9995)])
def test_the_logits_of_transformers(tmp_path: Path, folder: tuple[Path, Any], kind: str, least: float) -> None:
    path, model = folder
    spec = converted(path, tmp_path / "model.gguf", kind).spec
    ids = [int(token) for token in np.random.default_rng(2).integers(0, spec.vocab_size, TOKENS)]
    assert least_cosine(logits(spec, ids), transformers_logits(model, ids)) >= least


def test_the_tokens_of_tokenizers(tmp_path: Path, folder: tuple[Path, Any]) -> None:
    path, model = folder
    file = converted(path, tmp_path / "model.gguf", "q4_0")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path / "tokenizer.json"))
    ours = file.load_tokenizer(FORMATS[file.chat_format])
    assert file.chat_format == ("glm4-0414" if file.architecture == "glm4" else "glm4")
    assert {name: ours.specials[name] for name in SPECIALS} == {
        name: theirs.convert_tokens_to_ids(name) for name in SPECIALS
    }
    for text in NASTY:
        if "<|user|>" not in text:
            assert ours.encode_text(text) == theirs.encode(text), text
        assert b"".join(map(ours.token_bytes, ours.encode_text(text))) == text.encode()
    assert file.end_tokens == set(model.config.eos_token_id)


def test_bfloat16_in_parts(tmp_path: Path) -> None:
    model = write_folder(tmp_path / "whole")
    model.to(torch.bfloat16).save_pretrained(tmp_path / "parts", max_shard_size="300KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 2
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "parts" / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    spec = converted(tmp_path / "parts", tmp_path / "model.gguf", "f32").spec
    weights = {name: values.detach().float().numpy() for name, values in model.named_parameters()}
    for ours, theirs in {"token_embd": "model.embed_tokens", "blk.2.ffn_up": "model.layers.2.mlp.gate_up_proj"}.items():
        tensor = spec.tensors[f"{ours}.weight"]
        data = np.fromfile(tensor.path, np.float32, tensor.nbytes // 4, offset=tensor.offset).reshape(tensor.shape)
        assert (data == weights[f"{theirs}.weight"]).all()


def test_any_number_of_threads_writes_the_same_file(tmp_path: Path) -> None:
    write_folder(tmp_path / "model", "chatglm", num_hidden_layers=1, hidden_size=512, vocab_size=8192)
    files = []
    for threads in (1, 3):
        convert(tmp_path / "model", tmp_path / "model.gguf", "q8_0", threads, lambda size: lambda count: None)
        files.append((tmp_path / "model.gguf").read_bytes())
    assert files[0] == files[1]
