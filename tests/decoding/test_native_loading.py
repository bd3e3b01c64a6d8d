"""Loading: every byte of the weights is read once, with progress, and can be stopped."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import chatglm_native
import numpy as np
import pytest
from chatglm_bin_writer import DType

from chatglm_server.decoding.backends.native import NativeModel
from chatglm_server.errors import ModelFileError, ShuttingDown
from chatglm_server.model_files.containers import read_model_file
from chatglm_server.model_files.spec import ModelSpec
from tests.random_models import write_random_model


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """Of about 100 MB, so that loading takes a few reports."""
    path = tmp_path_factory.mktemp("model") / "model.bin"
    return read_model_file(write_random_model(path, dtype=DType.F32, hidden=1024, layers=2)).spec


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_file_is_read_once(spec: ModelSpec) -> None:
    """From checking the file to the loaded model, by the system's count of the bytes that the process read."""
    program = f"""
from pathlib import Path
from chatglm_server.loader import load_local_engine
from chatglm_server.settings import Settings
def read():
    return int(Path("/proc/self/io").read_text().split()[1])
settings = Settings(_env_file=None, model={str(spec.path)!r}, engine="native", kv_disk_mb=0)
before = read()
load_local_engine(settings)._load_runner(lambda: False)
print(read() - before)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert spec.nbytes <= int(result.stdout) <= 1.1 * spec.path.stat().st_size  # the head is read in pieces of 1 MiB


def test_progress_counts_the_bytes_in_the_calling_thread(spec: ModelSpec) -> None:
    seen: list[int] = []
    threads = set()

    def progress(count: int) -> bool:
        seen.append(count)
        threads.add(threading.get_ident())
        return True

    started = time.monotonic()
    NativeModel(spec, 64, threads=2, progress=progress)
    assert len(seen) <= 3 + 20 * (time.monotonic() - started)
    assert (seen[0], seen[-1]) == (0, spec.nbytes)
    assert seen == sorted(seen)
    assert threads == {threading.get_ident()}


@pytest.mark.parametrize("after", [0, 1, 20 << 20])
def test_loading_stops(spec: ModelSpec, after: int) -> None:
    seen: list[int] = []

    def progress(count: int) -> bool:
        seen.append(count)
        return count < after

    with pytest.raises(ShuttingDown, match="stopped while loading"):
        NativeModel(spec, 64, threads=2, progress=progress)
    assert seen[-1] >= after
    assert all(count < after for count in seen[:-1])


def test_what_progress_raises_ends_the_loading(spec: ModelSpec) -> None:
    def progress(count: int) -> bool:
        raise KeyError(count)

    with pytest.raises(KeyError, match="0"):
        NativeModel(spec, 64, threads=2, progress=progress)


def test_tensors_may_lie_in_several_files(tmp_path: Path) -> None:
    """As in a container that is split; each tensor says which file it is in."""
    path = write_random_model(tmp_path / "model.bin", dtype=DType.Q4_0)
    spec = read_model_file(path).spec
    data, tensors = path.read_bytes(), {}
    for number, (name, tensor) in enumerate(spec.tensors.items()):
        part = tmp_path / f"part-{number % 3}"
        with part.open("ab") as file:
            tensors[name] = replace(tensor, path=part, offset=file.tell())
            file.write(data[tensor.offset : tensor.offset + tensor.nbytes])
    split = replace(spec, tensors=tensors)
    rows = [(0, place, 7 * place + 3) for place in range(40)]
    whole, parts = (
        np.from_dlpack(
            chatglm_native.Model(chatglm_native.ThreadPool(2), chosen, context=64, slots=1).forward(rows, [39])
        )
        for chosen in (spec, split)
    )
    assert np.array_equal(whole, parts)
    (tmp_path / "part-1").unlink()
    with pytest.raises(ModelFileError, match=r"cannot read .*part-1: No such file"):
        NativeModel(split, 64, threads=1)


def test_models_may_share_a_pool(tmp_path: Path) -> None:
    """Two models, a thread of Python for each: callers of the pool take turns."""
    spec = read_model_file(write_random_model(tmp_path / "model.bin", dtype=DType.Q8_0, hidden=256)).spec
    pool = chatglm_native.ThreadPool(2)
    models = [chatglm_native.Model(pool, spec, context=64, slots=1) for _ in range(2)]
    del pool
    rows = [(0, place, 7 * place + 3) for place in range(40)]
    expected = np.from_dlpack(models[0].forward(rows, [39])).copy()
    wrong: list[int] = []

    def read(index: int) -> None:
        for _ in range(50):
            if not np.array_equal(np.from_dlpack(models[index].forward(rows, [39])), expected):
                wrong.append(index)

    threads = [threading.Thread(target=read, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
