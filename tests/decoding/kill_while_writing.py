"""Kills a process with SIGKILL at random moments while it writes prefixes to disk, and checks what the next one finds.

    python -m tests.decoding.kill_while_writing 200

Each round forks twice: a process that reads prompts and writes them, which is killed, and one that starts from the same
folder, gives the right answers, and leaves no file that is not whole. A process is killed at a random time after a file
that it is writing is seen. The rounds go on until so many have left such a file behind.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import NamedTuple

from chatglm_server.decoding.snapshots.block_file import PART, SUFFIX
from chatglm_server.model_files.spec import ModelSpec
from tests.decoding.scheduling import tokens
from tests.decoding.snapshots import serve, spec_of
from tests.random_models import write_random_model

_HEAD, _DIGEST = 16 + 32 + 8 + 4 * 128, 32  # bytes, as block_file.py says


_LOOK_S = 0.0002
_TRIES = 10  # for each process that is to be killed in a write


class Outcome(NamedTuple):
    """`killed` processes, of which some were `in_a_write`: they left a file that was being written, `cut` without its
    last bytes. Before, most had written some of the blocks, but not all: `between`.
    """

    killed: int
    in_a_write: int
    cut: int
    between: int


def kill_while_writing(folder: Path, wanted: int, seed: int) -> Outcome:
    """Goes on until `wanted` processes were killed in a write. Raises: AssertionError."""
    draw = random.Random(seed)
    spec = spec_of(write_random_model(folder / "model.bin", hidden=256, layers=8))
    prompts = [tokens(1, 700), tokens(2, 500)]
    root, whole = folder / "kv", folder / "whole"
    child = _forked(lambda: _check(spec, prompts, whole, folder / "answers"))
    longest, a_write = _watched(child, whole)
    every = list(whole.rglob(f"*{SUFFIX}"))
    size = every[0].stat().st_size
    killed = in_a_write = cut = between = 0
    for _ in range(_TRIES * wanted):
        for path in root.rglob(f"*{SUFFIX}"):
            if draw.random() < 0.7:
                path.unlink()
        child = _forked(lambda: serve(spec, prompts, root))
        time.sleep(draw.uniform(0, longest))
        _wait_for_a_write(child, root)
        time.sleep(draw.uniform(0, a_write))
        os.kill(child, signal.SIGKILL)
        killed += _wait(child) == -signal.SIGKILL
        parts = [path.stat().st_size for path in root.rglob(f"*{PART}")]
        in_a_write += bool(parts)
        cut += any(part < size for part in parts)
        between += 0 < len(list(root.rglob(f"*{SUFFIX}"))) < len(every)
        assert _wait(_forked(lambda: _check(spec, prompts, root, folder / "answers"))) == 0
        assert not list(root.rglob(f"*{PART}"))
        assert len(list(root.rglob(f"*{SUFFIX}"))) == len(every)
        if in_a_write == wanted:
            break
    return Outcome(killed, in_a_write, cut, between)


def _check(spec: ModelSpec, prompts: list[list[int]], root: Path, answers: Path) -> None:
    """The answers are those of the first time, and every file is whole."""
    got = str(serve(spec, prompts, root).answers)
    if answers.exists():
        assert answers.read_text() == got
    else:
        answers.write_text(got)
    for path in root.rglob(f"*{SUFFIX}"):
        data = path.read_bytes()
        assert data[_HEAD : _HEAD + _DIGEST] == sha256(data[:_HEAD] + data[_HEAD + _DIGEST :]).digest(), path
        assert path.stem == sha256(data[16:48] + data[56:_HEAD]).hexdigest(), path


def _watched(child: int, root: Path) -> tuple[float, float]:
    """Seconds until `child` writes its last file, and for which a file is being written, in the median.

    Raises: AssertionError.
    """
    began, seen = time.monotonic(), dict[str, list[float]]()
    while not _ended(child):
        for name in _parts(root):
            seen.setdefault(name, []).append(time.monotonic())
        time.sleep(_LOOK_S)
    assert _wait(child) == 0
    return max(map(max, seen.values())) - began, median(times[-1] - times[0] for times in seen.values())


def _wait_for_a_write(child: int, root: Path) -> None:
    """Until `child` writes a file, or has ended."""
    while not _parts(root) and not _ended(child):
        time.sleep(_LOOK_S)


def _parts(root: Path) -> list[str]:
    return [path.name for path in root.glob(f"*/*{PART}")]


def _ended(child: int) -> bool:
    """It still has to be waited for."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _forked(function: Callable[[], object]) -> int:
    """The id of a process that runs `function`. There are no threads here that it could lack."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    try:
        function()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
    os._exit(1)


def _wait(child: int) -> int:
    """The exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print(kill_while_writing(Path(place), int(sys.argv[1]), seed=int(sys.argv[2]) if sys.argv[2:] else 1))
