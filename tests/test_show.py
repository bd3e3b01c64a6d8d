"""``chatglm-server show``: what it prints of a file is what the file holds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import chatglm_native
import pytest

from chatglm_server.cli.main import main
from chatglm_server.decoding.backends.cpus import usable_cpus
from chatglm_server.memory import memory_limit
from chatglm_server.model_files.containers import read_model_file
from tests.random_expert_gguf import FLASH
from tests.random_gguf import Shape, write_random_gguf
from tests.terminals import OnTerminal


def show(model: str | Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The lines that `show` prints of a model, by their names."""
    assert main(["show", str(model)]) == 0
    path, *lines = capsys.readouterr().out.splitlines()
    return {"path": path} | {line[:15].strip(): line[15:].strip() for line in lines}


def test_a_gguf_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    write_random_gguf(path, Shape())
    shown = show(path, capsys)
    spec = read_model_file(path).spec
    assert shown["path"] == str(path)
    assert shown["file"].startswith("GGUF, ")
    assert f"{spec.layers} layers of {spec.hidden_size}" in shown["architecture"]
    assert shown["parameters"] == f"{spec.parameters:,}"
    assert all(name in shown["weights"] for name in spec.bytes_by_type)
    assert shown["context"] == f"{spec.context_length} tokens"
    assert {"<|user|>", "<|observation|>"} <= set(shown["end tokens"].split())
    answers, prompts = map(float, re.findall(r"about ([\d.]+) tokens a second in answers, ([\d.]+)", shown["speed"])[0])
    assert answers > 0 and prompts > 0


def test_a_model_with_experts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = show(write_random_gguf(tmp_path / "model.gguf", FLASH, vocabulary="glm47"), capsys)
    assert shown["architecture"].startswith("deepseek2: 3 layers of 256")
    assert shown["architecture"].endswith("8 heads, which share keys and values of 256 + 32 numbers")
    assert shown["experts"] == "8 of 256 in 2 layers, a token uses 3 and 1 that all share"
    assert shown["chat format"].startswith("glm47: ")
    spec = read_model_file(tmp_path / "model.gguf").spec
    unused = 2 * 5 * 3 * 256 * 256 + (spec.vocab_size - 1) * 256  # of five experts in two layers, and of the embedding
    assert shown["parameters"] == f"{spec.parameters:,}, {spec.parameters - unused:,} for a token"


def test_the_demo_model(capsys: pytest.CaptureFixture[str]) -> None:
    shown = show("demo", capsys)
    assert shown["file"].startswith("chatglm.cpp, ")
    assert shown["chat format"] == "chatglm3: the file's model type"
    assert shown["end tokens"].endswith("<|user|> <|observation|>")
    assert f"has {memory_limit()[0] / 1e9:.2f} GB" in shown["memory"]


def test_memory_that_a_long_context_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    write_random_gguf(path, Shape(context=1 << 30))
    length = re.search(r"for (\d+) tokens, which is all that fits", show(path, capsys)["memory"])
    assert length and 2048 <= int(length[1]) < 1 << 30


def test_a_missing_file_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "missing.gguf"]) == 1
    assert re.fullmatch(r"error: missing.gguf: .+\n", capsys.readouterr().err)


def test_nothing_is_fetched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert main(["show", "glm-z1-9b"]) == 1
    assert "chatglm-server pull glm-z1-9b" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error() -> None:
    command = f"{sys.executable} -m chatglm_server show demo | head -1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert result.stdout.endswith("demo-chatglm3.bin\n")
    assert result.stderr == ""


def test_the_word_is_required(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["show"])
    assert caught.value.code == 2
    assert "MODEL" in capsys.readouterr().err


@pytest.mark.parametrize("number", [8, 12, 30])  # Q8_0, Q4_K, BF16
def test_types_can_be_measured(number: int) -> None:
    read, computed = chatglm_native.measure_speed(chatglm_native.ThreadPool(usable_cpus()), number, 0.01)
    assert read > 0 and computed > 0


def test_an_unknown_type_is_an_error() -> None:
    with pytest.raises(ValueError, match="unknown weight type"):
        chatglm_native.measure_speed(chatglm_native.ThreadPool(1), 99, 0.01)


def test_lines_fit_the_terminal() -> None:
    with OnTerminal("show", "demo", env={"COLUMNS": "50"}) as terminal:
        assert terminal.wait_for_end() == 0
        shown = terminal.text()
        assert "  architecture  chatglm3: 5 layers of 256,\n                feed-forward 576, " in shown
        assert max(map(len, shown.splitlines()[2:])) <= 50
