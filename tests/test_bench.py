"""The benchmark scripts, run on the demo model: what they print is whole, and their parts are right. Never a time."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import chatglm_native
import gguf
import llama_cpp
import numpy as np
import pytest
from benchmark.gguf_copy import obstacle, write_gguf
from benchmark.measures import Figure
from benchmark.random_gguf import SHAPES, random_gguf_size, write_random_gguf
from benchmark.random_weights import random_blocks
from benchmark.report import Results, render

from chatglm_server.model_files.chatglm_bin import read_chatglm_bin
from chatglm_server.model_files.chatglm_bin_layout import DType
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.weight_types import WEIGHT_TYPES
from tests.random_gguf import write_random_gguf as write_tiny_gguf
from tests.random_models import write_random_model as write_small_model

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / "models" / "demo-chatglm3.bin"


def run(*words: str | Path, script: str = "bench.py") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_the_table_has_every_side_and_figure(tmp_path: Path) -> None:
    sides = [*(f"native-{name}" for name in chatglm_native.kernels()), "memory"]
    words = ["--sides", ",".join(sides), "--measures", "load,decode,decode4,sampled,cached", "--rounds", "2"]
    done = run("--model", DEMO, *words, "--threads", "1", "--json", tmp_path / "figures.json", "--markdown")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    first, second = (at for at, line in enumerate(lines) if line.startswith("| ---"))
    head = [cell.strip() for cell in lines[first - 1].split("|")[3:-1]]
    assert head == sides
    cells = {row[1].strip(): row[3:-1] for line in lines[first + 1 : second - 2] if (row := line.split("|"))}
    assert [name for name, row in cells.items() if all(map(str.strip, row))] == [
        "decode, 1 sequence",
        "load from page cache",
        "load from page cache, to a token",
    ]
    assert [name for name, row in cells.items() if row[0].strip() and not row[-1].strip()] == [
        "decode, 4 sequences in all",
        "decode, 1 sequence, temperature 0.8, top_k 50, top_p 0.9",
        "decode, 4 sequences in all, temperature 0.8, top_k 50, top_p 0.9",
        "first token, 64 tokens after 600, all new",
        "first token, 64 tokens after 600 cached",
        "cold / cached",
        "resident memory",
    ]
    assert all("-" in cell for row in cells.values() for cell in row if cell.strip())  # median (least-most)
    assert lines[second - 1].count(" / memory") == len(sides) - 1
    assert any(line.startswith("* processor: ") for line in lines)
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert {side: len(values) for side, values in figures["decode"]["sides"].items()} == dict.fromkeys(sides, 2)
    assert figures["prefill"]["sides"] == {}


def test_another_build_of_the_core_is_a_side_and_a_peer() -> None:
    """Here the same build once more, by the folder that it lies in."""
    words: list[str | Path] = ["--model", DEMO, "--sides", "native-generic", "--measures", "decode", "--rounds", "2"]
    done = run(*words, "--core", f"again={Path(chatglm_native.__file__).parent}")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines() if "kernels, prompts" in line] == [
        "native-generic:",
        "again:",
    ]
    assert done.stdout.count("generic kernels, prompts") == 2
    assert "native-generic / again" in done.stdout
    assert "memory: a side has this name already" in run(*words, "--core", f"memory={ROOT}").stderr
    assert (
        "again-best: a side has this name already"
        in run(*words, "--llama-cpp", f"again={ROOT}", "--core", f"again-best={ROOT}").stderr
    )
    assert "is not LABEL=FOLDER" in run(*words, "--core", "again").stderr
    assert "nowhere is not a folder" in run(*words, "--core", "again=/nowhere").stderr


def test_a_gguf_file_and_the_depth_of_a_context(tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf", kinds=[gguf.GGMLQuantizationType.Q8_0], vocabulary="none")
    words = ["--sides", "native-generic,chatglm-cpp,memory", "--measures", "decode,depth", "--depth", "300"]
    done = run("--model", model, *words, "--rounds", "2", "--threads", "1", "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^model: tiny\.gguf, [\d.]+ GB \(Q8_0 \d+%\), keys and values of a token: ", done.stdout, re.M)
    assert "chatglm-cpp: left out: " in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert list(figures["decode"]["sides"]) == ["native-generic", "memory"]
    assert figures["deep"]["label"] == "prefill, 512 tokens after 300"
    for key in ("first", "deep", "slowdown", "first_decode", "deep_decode", "decode_slowdown"):
        assert {side: len(values) for side, values in figures[key]["sides"].items()} == {"native-generic": 2}


def test_recorded_answers_are_written_with_and_without_drafts() -> None:
    """By the core and by llama.cpp, which both follow the record to its end."""
    sides = f"native-{chatglm_native.kernels()[0]},llama.cpp"
    words = ["--sides", sides, "--measures", "draft", "--answer", "32", "--rounds", "1"]
    done = run("--model", DEMO, *words, "--threads", "1")
    assert done.returncode == 0, done.stderr
    rows = {line[:40].strip(): line[40:].split() for line in done.stdout.splitlines() if "tok/s" in line}
    texts = [name for name in rows if name.startswith("drafts: ")]
    assert len(texts) == 8
    assert all(len(rows[name]) == 3 for name in texts)


def test_llama_cpp_is_measured_twice_and_its_kernels_are_named(tmp_path: Path) -> None:
    """With its defaults and without repacking; and so is another build of it, here the same once more."""
    model = write_tiny_gguf(tmp_path / "tiny.gguf", kinds=[gguf.GGMLQuantizationType.Q4_K], vocabulary="none")
    other = f"other={Path(llama_cpp.__file__).parent.parent}"
    words = ["--sides", "llama.cpp,llama.cpp-best", "--llama-cpp", other, "--measures", "decode", "--rounds", "1"]
    done = run("--model", model, *words, "--json", tmp_path / "figures.json")
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    sides = ["llama.cpp", "llama.cpp-best", "other", "other-best"]
    assert list(figures["figures"]["decode"]["sides"]) == sides
    about = {side: next(line for line in figures["about"] if line.startswith(f"{side}: ")) for side in sides}
    assert [side for side in sides if "no repacking" in about[side]] == ["llama.cpp-best", "other-best"]
    heading = next(line for line in done.stdout.splitlines() if line.startswith("median"))
    assert re.findall(r"(\S+) \((\w+)\)", heading.partition(")")[2]) == [
        (side, figures["kernels"][side]) for side in sides
    ]


def test_sampling_is_measured_without_a_model(tmp_path: Path) -> None:
    done = run("--measures", "sample", "--rounds", "1", "--folder", tmp_path / "models", "--threads", "1")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("sample ")]
    assert [(row[1], row[2]) for row in rows] == [
        (f"{count},", mask) for count in "14" for mask in ("all", "half", "one")
    ]
    assert len(rows[0]) - len(["sample", "1,", "all", "tokens", "allowed", "ms"]) == len(chatglm_native.kernels())
    assert not (tmp_path / "models").exists()


def test_bad_words_are_one_line(tmp_path: Path) -> None:
    assert "nobody is none of native-avx512" in run("--sides", "nobody").stderr
    assert "--bin is for the shape chatglm3 and the types f32, f16, q4_0" in run("--bin", "--type", "q4_k_m").stderr
    assert "no such file" in run("--model", tmp_path / "none.bin").stderr.lower()
    small = write_small_model(tmp_path / "small.bin")
    done = run("--model", small, "--sides", "memory")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the measures need a context of 696 tokens, it has 256" in done.stderr


def test_a_side_that_fails_is_left_out_and_named(tmp_path: Path) -> None:
    """The core refuses heads of 4; the bound on memory is measured all the same."""
    odd = write_small_model(tmp_path / "odd.bin", hidden=96, max_length=1024)
    done = run("--model", odd, "--sides", "native-generic,memory", "--measures", "decode", "--rounds", "1")
    assert done.returncode == 0, done.stderr
    assert "native-generic: failed in decode, round 1: " in done.stdout
    assert "memory: memchr over" in done.stdout


def test_ratios_are_of_the_same_round() -> None:
    results = Results({"speed": Figure("speed", "tok/s", 1), "time": Figure("time", "s", -1)})
    for round_, (ours, theirs) in enumerate([(4.0, 2.0), (30.0, 10.0), (8.0, 2.0)]):
        results.add(round_, "native-avx2", {"speed": ours, "time": theirs})
        if round_ != 1:
            results.add(round_, "llama.cpp", {"speed": theirs, "time": ours})
    assert results.ratios("speed", "native-avx2", "llama.cpp") == [2.0, 4.0]
    assert results.ratios("time", "native-avx2", "llama.cpp") == [2.0, 4.0]
    text = render(results.table(), markdown=False).splitlines()
    assert text[1].split() == ["speed", "tok/s", "8", "(4-30)", "2", "(2-2)"]


@pytest.mark.parametrize("kind", [kind.name for kind in WEIGHT_TYPES.values() if kind.columns > 1])
def test_random_weights_have_the_spread_of_real_ones(kind: str) -> None:
    rows, columns = 64, 4096
    blocks = random_blocks(np.random.Generator(np.random.SFC64(1)), (rows, columns), kind)
    weights = gguf.dequantize(blocks, gguf.GGMLQuantizationType[kind])
    assert weights.size == rows * columns
    assert abs(weights.std() * columns**0.5 - 1) < 0.03
    assert abs(weights.mean() * columns**0.5) < 0.15


def test_a_random_gguf_file_with_experts_is_whole(tmp_path: Path) -> None:
    small = {"hidden_size": 256, "heads": 8, "vocab_size": 512, "experts": 4, "expert_size": 288, "ffn_size": 288}
    shape = replace(SHAPES["glm-4.7-flash"], **small)  # type: ignore[arg-type]
    write_random_gguf(tmp_path / "small.gguf", shape, 2, "q4_k_m")
    spec = read_model_file(tmp_path / "small.gguf").spec
    chatglm_native.check(spec)
    assert spec.nbytes == random_gguf_size(shape, 2, "q4_k_m")
    assert (spec.architecture, spec.layers, spec.key_size, spec.value_size) == ("deepseek2", 2, 256, 256)


@pytest.mark.parametrize("name", [name for name, shape in SHAPES.items() if shape.kv_heads == 2])
def test_a_random_gguf_file_is_whole(tmp_path: Path, name: str) -> None:
    """A small model with the parts of a real one; the ``gguf`` package and this project's reader take it."""
    shape = replace(SHAPES[name], hidden_size=256, heads=8, head_size=32, ffn_size=288, vocab_size=512)
    path = tmp_path / "small.gguf"
    write_random_gguf(path, shape, 2, "q4_k_m")
    tensors = {tensor.name: tensor for tensor in gguf.GGUFReader(path).tensors}
    assert sum(tensor.n_bytes for tensor in tensors.values()) == random_gguf_size(shape, 2, "q4_k_m")
    spec = read_model_file(path).spec
    assert (spec.layers, spec.kv_heads, spec.context_length) == (2, 2, shape.context_length)
    assert spec.tensors.keys() == tensors.keys()
    assert set(spec.bytes_by_type) == {"F32", "Q4_K", "Q6_K", "Q5_0", "Q8_0"}
    output = tensors["output.weight"]
    assert abs(gguf.dequantize(output.data, output.tensor_type).std() * 256**0.5 - 1) < 0.03


@pytest.mark.parametrize(
    ("name", "mix", "gigabytes"),
    [
        *(("chatglm3", "q8_0", 6.63), ("chatglm3", "q4_k_m", 4.14), ("chatglm3", "iq4_xs", 3.56)),
        *(("glm-4-9b-0414", "q8_0", 9.99), ("glm-4-9b-0414", "q6_k", 8.26), ("glm-4-9b-0414", "q4_k_m", 6.16)),
        *(("glm-4.7-flash", "q8_0", 31.83), ("glm-4.7-flash", "q4_k_m", 18.12), ("glm-4.7-flash", "iq4_xs", 16.15)),
        *(("glm-4-9b-0414", "q4_0", 5.45), ("glm-4-9b-0414", "iq4_xs", 5.30), ("glm-4-9b-0414", "q2_k", 4.00)),
    ],
)
def test_random_gguf_files_have_the_size_of_real_ones(name: str, mix: str, gigabytes: float) -> None:
    """By llama.cpp's quantizer (``llama_model_quantize`` with ``dry_run``, 0c1e57098) for the real shapes."""
    assert abs(random_gguf_size(SHAPES[name], SHAPES[name].layers, mix) / 1e9 - gigabytes) < 0.0051


def test_gguf_copy_holds_the_same_bytes(tmp_path: Path) -> None:
    file = read_chatglm_bin(write_small_model(tmp_path / "small.bin", dtype=DType.Q4_0))
    assert obstacle(file) == ""
    write_gguf(file, tmp_path / "small.gguf")
    copied = gguf.GGUFReader(tmp_path / "small.gguf").tensors
    data = file.path.read_bytes()
    for tensor, copy in zip(file.tensors, copied, strict=True):
        assert copy.data.tobytes() == data[tensor.offset : tensor.offset + tensor.nbytes], copy.name
        assert int(copy.tensor_type) == tensor.type
        assert [int(size) for size in copy.shape] == [*reversed(tensor.shape)]


def test_clients_get_their_answers(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    words = ["--clients", "1,3", "--tokens", "8", "--tools", "2", "--rounds", "2", "--no-ignore-eos"]
    done = run(*words, "--threads", "1", "--json", path, script="bench_server.py")
    assert done.returncode == 0, done.stderr
    figures = json.loads(path.read_text())["figures"]
    assert len(figures) == 2 + 2 * 6
    for key, figure in figures.items():
        (values,) = figure["sides"].values()
        assert len(values) == (1 if key == "start" else 2), key
        assert all(value == 0 if key.endswith("refused") else value > 0 for value in values), key
        assert figure["label"] in done.stdout
    assert "chatglm-server: model demo, prompts of about " in done.stdout


def test_a_server_that_is_not_there_is_one_line() -> None:
    done = run("--url", "http://127.0.0.1:9", script="bench_server.py")
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "")
    assert "127.0.0.1:9" in done.stderr


def test_the_cost_of_constraints_has_every_dialect_and_figure() -> None:
    done = run("--vocabulary", ROOT / "models" / "demo-glm4.bin", "--tools", "3", script="bench_constraint.py")
    assert done.returncode == 0, done.stderr
    _, head, *rows = done.stdout.splitlines()
    assert len(re.split(r"\s{2,}", head)) == 10
    figures = {cells[0]: [float(cell) for cell in cells[1:]] for row in rows if (cells := re.split(r"\s{2,}", row))}
    dialects = [f"{name}{kind}" for name in ("glm4", "glm47", "chatglm3") for kind in ("", ", strict")]
    assert all(len(figures.pop(name)) == 9 for name in dialects)
    assert len(figures.pop("response_format")) == 2
    assert not figures


def test_a_restarted_server_answers_as_before(tmp_path: Path) -> None:
    words = ["--model", "demo", "--tokens", "300", "--rounds", "1", "--after-s", "0"]
    done = run(*words, "--folder", tmp_path, script="bench_restart.py")
    assert done.returncode == 0, done.stderr
    assert "prompt: 300 tokens; on disk: 1 MB" in done.stdout
    assert "first token: cold " in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_turns_of_an_agent_read_what_they_add() -> None:
    done = run("--turns", "2", "--conversations", "1", script="bench_turns.py")
    assert done.returncode == 0, done.stderr
    (added,) = re.findall(r"added by a turn: ([\d,]+) ", done.stdout)
    (read,) = re.findall(r"sends all back as it is \| ([\d,]+) ", done.stdout)
    assert int(read.replace(",", "")) == int(added.replace(",", "")) + 1
    for name in ("a summary after each", "the retry of a prompt whose client left", "started again between"):
        assert name in done.stdout


def test_estimates_of_waits_stand_beside_the_waits() -> None:
    done = run("--parallel", "1", "--requests", "2", script="bench_queue.py")
    assert done.returncode == 0, done.stderr
    _, row = done.stdout.splitlines()
    assert len(re.findall(r"[\d.]+ / [\d.]+", row)) == 8
