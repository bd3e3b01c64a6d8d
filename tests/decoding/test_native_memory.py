"""The memory that the compute core takes: its weights once, and of each slot the positions that it holds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import chatglm_native
import pytest
from chatglm_bin_writer import DType

from chatglm_server.model_files.containers import read_model_file
from tests.random_models import write_random_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
LONG = 16384


def megabytes(field: int) -> float:
    """0: address space, 1: resident memory."""
    return int(Path("/proc/self/statm").read_text().split()[field]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def rows_of(slot: int, ids: Sequence[int], start: int = 0) -> list[tuple[int, int, int]]:
    return [(slot, start + place, token) for place, token in enumerate(ids)]


def load(path: Path, slots: int) -> chatglm_native.Model:
    """A slot of it takes 32 MB of address space."""
    spec = read_model_file(write_random_model(path, hidden=512, layers=2)).spec
    model = chatglm_native.Model(chatglm_native.ThreadPool(1), spec, context=LONG, slots=slots)
    model.forward(rows_of(0, [5] * 256), [])  # a pass's own memory
    model.truncate(0, 0)
    return model


def test_slots_take_resident_memory_for_what_they_hold_and_give_it_back(tmp_path: Path) -> None:
    """A few positions of a long context, then many, then few again."""
    model = load(tmp_path / "model.bin", 4)
    before = megabytes(1)
    for slot in range(4):
        model.forward(rows_of(slot, [5] * 20), [])
    assert megabytes(1) - before < 4, "a huge page for each head would be 64"
    for place in range(0, 8192, 256):
        model.forward(rows_of(0, [5] * 256, place), [])
    most = megabytes(1)
    model.truncate(0, 16)
    assert most - megabytes(1) > 4


def test_slots_take_address_space_only_while_they_hold_something(tmp_path: Path) -> None:
    before = megabytes(0)
    model = load(tmp_path / "model.bin", 300)
    empty = megabytes(0)
    assert empty - before < 300, "300 slots would take 9,600"
    for slot in range(20, 25):
        model.forward(rows_of(slot, [5] * 20), [])
    model.copy(20, 25, 20)
    assert megabytes(0) - empty > 6 * 31
    model.copy(19, 20, 20)  # nothing was ever written to slot 19
    for slot in range(21, 26):
        model.truncate(slot, 0)
    assert megabytes(0) - empty < 31


def test_the_peak_of_resident_memory_is_the_weights_alone(tmp_path: Path) -> None:
    """While it loads and after: at most 1.15 times the file, besides what the process had and a short cache."""
    path = write_random_model(tmp_path / "model.bin", dtype=DType.F32, hidden=1024, layers=2)
    program = f"""
import re
from pathlib import Path
import chatglm_native
from chatglm_server.model_files.containers import read_model_file
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
spec = read_model_file(Path({str(path)!r})).spec
before = peak()
model = chatglm_native.Model(chatglm_native.ThreadPool(2), spec, context=64, slots=300)
model.forward([(0, 0, 5)], [0])
print(peak() - before)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert int(result.stdout) <= 1.15 * path.stat().st_size
