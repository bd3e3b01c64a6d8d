"""Folders that are incomplete, broken or of other models: one line that names the file and the fault, and no output."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file, save_file

from chatglm_server.cli.main import main
from chatglm_server.model_files.gguf import read_gguf
from tests.convert.folders import write_folder

Change = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    write_folder(folder, num_hidden_layers=1, hidden_size=64, intermediate_size=64)
    return folder


def edited(name: str, **values: Any) -> Change:
    def change(folder: Path) -> None:
        path = folder / name
        made = json.loads(path.read_text()) | values
        path.write_text(json.dumps({key: value for key, value in made.items() if value != "gone"}))

    return change


def written(name: str, data: bytes) -> Change:
    return lambda folder: (folder / name).write_bytes(data)


def without(name: str) -> Change:
    return lambda folder: (folder / name).unlink()


def both(first: Change, second: Change) -> Change:
    return lambda folder: (first(folder), second(folder))


def with_model(**values: Any) -> Change:
    """Changes the entry ``model`` of tokenizer.json."""

    def change(folder: Path) -> None:
        path = folder / "tokenizer.json"
        made = json.loads(path.read_text())
        made["model"] |= values
        path.write_text(json.dumps(made))

    return change


def with_tensors(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors")

    return changed


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def with_index(**places: str) -> Change:
    index = {"weight_map": {name.replace("_", "."): file for name, file in places.items()}}
    return written("model.safetensors.index.json", json.dumps(index).encode())


NORM = "model.norm.weight"
HUGE = struct.pack("<Q", 1 << 60) + b"{}"
FAULTS: dict[str, tuple[Change, str]] = {
    "no config": (without("config.json"), "config.json: cannot be read: No such file"),
    "config is a list": (written("config.json", b"[]"), "config.json: the file is not a JSON object"),
    "config is cut": (written("config.json", b'{"a": '), "config.json: the file is not JSON"),
    "deep JSON": (written("config.json", b"[" * 100_000), "config.json: the file is not JSON"),
    "not UTF-8": (written("config.json", b"\xff\xfe{}"), "config.json: the file is not JSON"),
    "another model": (edited("config.json", architectures=["LlamaForCausalLM"]), "of the kind 'LlamaForCausalLM'"),
    "no kind": (edited("config.json", architectures=None), "of the kind None"),
    "a list for a kind": (edited("config.json", architectures=[["x"]]), "of the kind ['x']"),
    "kinds disagree": (edited("config.json", model_type="glm"), "of the kind 'Glm4ForCausalLM'"),
    "images": (edited("config.json", vision_config={}), "reads images"),
    "zero layers": (edited("config.json", num_hidden_layers=0), "num_hidden_layers = 0: must be a whole number"),
    "many layers": (edited("config.json", num_hidden_layers=10**9), "num_hidden_layers = 1000000000: must be"),
    "text for a number": (edited("config.json", hidden_size="64"), "hidden_size = '64': must be"),
    "no epsilon": (edited("config.json", rms_norm_eps=0), "rms_norm_eps = 0: must be a number above 0"),
    "endless theta": (edited("config.json", rope_theta=float("inf")), "rope_theta = inf: must be a number above 0"),
    "theta of 400 digits": (edited("config.json", rope_theta=10**400), "rope_theta = 1000000"),
    "theta too large for GGUF": (edited("config.json", rope_theta=1e300), "rope_theta = 1e+300: must be a number"),
    "an epsilon of 0 in GGUF": (edited("config.json", rms_norm_eps=1e-300), "rms_norm_eps = 1e-300: must be a number"),
    "endless rotation": (edited("config.json", partial_rotary_factor=1e308), "partial_rotary_factor = 1e+308"),
    "scaled rotation": (
        edited("config.json", rope_scaling={"rope_type": "yarn"}),
        "rope_scaling = {'rope_type'",
    ),
    "another activation": (edited("config.json", hidden_act="gelu"), "hidden_act = 'gelu'"),
    "odd rotation": (edited("config.json", partial_rotary_factor=0.32), "partial_rotary_factor = 0.32"),
    "shared heads": (edited("config.json", num_key_value_heads=3), "3 key/value heads for 8 heads"),
    "another vocabulary": (edited("config.json", vocab_size=100), "shape [448, 64]; config.json says [100, 64]"),
    "end tokens": (
        edited("generation_config.json", eos_token_id=["x"]),
        "_config.json: eos_token_id = ['x']",
    ),
    "end token too large": (edited("generation_config.json", eos_token_id=10**5), "an end token is 100000"),
    "no tokenizer": (without("tokenizer.json"), "tokenizer.json and tokenizer.model are missing"),
    "no vocabulary": (with_model(vocab=None), "model.vocab is not an object"),
    "gaps between ids": (with_model(vocab={"a": 0, "b": 2}), "the ids in model.vocab are not 0, 1, 2"),
    "text for ids": (with_model(vocab={"a": "0"}), "the ids in model.vocab are not 0, 1, 2"),
    "half a character": (with_model(vocab={"\ud800": 0}), "is not Unicode"),
    "merges of one": (with_model(merges=["ab"]), "model.merges holds 'ab'"),
    "another tokenizer": (with_model(type="Unigram"), "not a byte-level BPE"),
    "no byte level": (edited("tokenizer.json", pre_tokenizer=None), "not a byte-level BPE"),
    "added tokens": (
        edited("tokenizer.json", added_tokens=[{"id": 10**6, "content": "x"}]),
        "a token needs a text, and an id below",
    ),
    "broken tiktoken": (
        both(without("tokenizer.json"), written("tokenizer.model", b"AA== 5\n")),
        "ranks",
    ),
    "broken SentencePiece": (
        both(without("tokenizer.json"), written("tokenizer.model", b"\x0a\xff\xff")),
        "the tokenizer is broken",
    ),
    "no weights": (without("model.safetensors"), "the folder holds no weights"),
    "pickled weights": (
        lambda folder: (folder / "model.safetensors").rename(folder / "pytorch_model.bin"),
        "only PyTorch's own format (pytorch_model.bin)",
    ),
    "weights are cut": (cut, "cannot be read as safetensors"),
    "huge header": (written("model.safetensors", HUGE), "cannot be read as safetensors"),
    "empty weights": (written("model.safetensors", b""), "cannot be read as safetensors"),
    "a missing tensor": (with_tensors(lambda tensors: tensors.pop(NORM)), f"the weights lack {NORM}"),
    "an unknown tensor": (with_tensors(lambda tensors: tensors.update(x=tensors[NORM])), "the unknown tensor 'x'"),
    "whole numbers": (
        with_tensors(lambda tensors: tensors.update({NORM: tensors[NORM].astype("int8")})),
        "is stored as I8",
    ),
    "no number": (
        with_tensors(lambda tensors: tensors[NORM].__setitem__(3, float("nan"))),
        "weight holds nan",
    ),
    "too large": (with_tensors(lambda tensors: tensors[NORM].__setitem__(3, 1e30)), "output_norm.weight holds 1e+30"),
    "a missing part": (with_index(a="part-2.safetensors"), "part-2.safetensors is missing (1 of 1 files)"),
    "a part elsewhere": (with_index(a="../x.safetensors"), "is not the name of a safetensors file in this folder"),
    "an index of lies": (with_index(a="model.safetensors"), "the file lacks a, which"),
    "an empty index": (written("model.safetensors.index.json", b"{}"), "weight_map is not an object"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(whole: Path, tmp_path: Path, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in whole.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    change, message = FAULTS[fault]
    change(folder)
    status = main(["convert", str(folder), "--out", str(tmp_path / "model.gguf"), "--type", "q8_0", "--threads", "1"])
    shown = capsys.readouterr()
    assert (status, shown.out, shown.err.count("\n")) == (1, "", 1), shown.err
    assert shown.err.rstrip("\n").isprintable()
    assert message in shown.err
    assert list(tmp_path.iterdir()) == [folder]


def test_words(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "model.gguf"
    for words, status, message in (
        ([str(whole)], 2, "--out: Field required"),
        ([str(whole), "--out", str(out), "--type", "q9"], 2, "--type q9: must be one of f32, f16, bf16, q4_0"),
        ([str(whole), "--out", str(tmp_path)], 2, "a folder; name the file to write in it"),
        ([str(whole), "--out", str(tmp_path / "nowhere" / "x.gguf")], 1, "nowhere"),
        ([str(tmp_path / "missing"), "--out", str(out)], 1, "missing: No such file"),
        ([str(whole / "config.json"), "--out", str(out)], 1, "is not a chatglm.cpp model"),
        ([str(whole / "config.json"), "--out", str(out), "--type", "f16"], 1, "leave out --type"),
    ):
        assert main(["convert", *words]) == status
        assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
    assert main(["convert", str(whole), "--out", str(out), "--type", "Q8_0"]) == 0
    assert f"serve it: chatglm-server --model {out}" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_whose_name_is_not_unicode(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"mod\xe8le")
    shutil.copytree(whole, folder)
    out = tmp_path / "model.gguf"
    assert main(["convert", str(folder), "--out", str(out), "--type", "q8_0"]) == 0
    assert read_gguf(out).metadata["general.name"] == "mod\ufffdle"
