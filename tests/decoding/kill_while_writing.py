"""Kills a process with SIGKILL at random moments while it writes prefixes to disk, and checks what the next one finds.

    python -m tests.decoding.kill_while_writing 200

Each round forks twice: a process that reads prompts and writes them, which is killed, and one that starts from the same
folder, gives the right answers, and leaves no file that is not whole.
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
from typing import NamedTuple

from chatglm_server.decoding.snapshots.block_file import PART, SUFFIX
from chatglm_server.model_files.spec import ModelSpec
from tests.decoding.scheduling import tokens
from tests.decoding.snapshots import serve, spec_of
from tests.random_models import write_random_model

_HEAD, _DIGEST = 16 + 32 + 8 + 4 * 128, 32  # bytes, as block_file.py says


class Outcome(NamedTuple):
    """`killed` processes, of which some were `in_a_write`, and others between two: some of the blocks are there."""

    killed: int
    in_a_write: int
    between: int


def kill_while_writing(folder: Path, rounds: int, seed: int) -> Outcome:
    """Raises: AssertionError."""
    draw = random.Random(seed)
    spec = spec_of(write_random_model(folder / "model.bin", hidden=256, layers=8))
    prompts = [tokens(1, 700), tokens(2, 500)]
    root, whole = folder / "kv", folder / "whole"
    began = time.monotonic()
    assert _wait(_forked(lambda: _check(spec, prompts, whole, folder / "answers"))) == 0
    longest = time.monotonic() - began
    every = len(list(whole.rglob(f"*{SUFFIX}")))
    killed = in_a_write = between = 0
    for _ in range(rounds):
        for path in root.rglob(f"*{SUFFIX}"):
            if draw.random() < 0.7:
                path.unlink()
        child = _forked(lambda: serve(spec, prompts, root))
        time.sleep(draw.uniform(0, longest))
        os.kill(child, signal.SIGKILL)
        killed += _wait(child) == -signal.SIGKILL
        in_a_write += bool(list(root.rglob(f"*{PART}")))
        between += 0 < len(list(root.rglob(f"*{SUFFIX}"))) < every
        assert _wait(_forked(lambda: _check(spec, prompts, root, folder / "answers"))) == 0
        assert not list(root.rglob(f"*{PART}"))
        assert len(list(root.rglob(f"*{SUFFIX}"))) == every
    return Outcome(killed, in_a_write, between)


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
