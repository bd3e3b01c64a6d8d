"""Prefixes on disk: answers after them are the same bits, and nothing on disk is believed that is not whole."""

from __future__ import annotations

import fcntl
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from chatglm_server.decoding.snapshots.block_file import PART, SUFFIX, file_size
from chatglm_server.decoding.snapshots.blocks import BLOCK, blocks_of
from chatglm_server.decoding.snapshots.folder import clear, stored_files, stored_prefixes
from chatglm_server.decoding.snapshots.note_file import MOST_BYTES, NOTE_SUFFIX
from chatglm_server.decoding.snapshots.store import BlockStore
from chatglm_server.model_files.spec import CacheType, ModelSpec
from tests.decoding.scheduling import tokens
from tests.decoding.snapshots import serve, spec_of
from tests.random_expert_gguf import FLASH
from tests.random_gguf import GLM4_0414, Kind, write_random_gguf
from tests.random_models import write_random_model

PATHS = os.pathsep.join(sys.path)
PROMPT = tokens(1, 600)  # four whole blocks; with an answer of 20 tokens, too


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    return spec_of(write_random_model(tmp_path_factory.mktemp("model") / "model.bin"))


def files(folder: Path) -> list[Path]:
    return sorted(file.path for file in stored_files(folder))


@pytest.mark.parametrize("cache_type", ["f16", "q8"])
@pytest.mark.parametrize("shape", ["chatglm3", "glm4", "flash"])
def test_an_answer_is_the_same_after_a_restart(shape: str, cache_type: CacheType, tmp_path: Path) -> None:
    if shape == "chatglm3":
        path = write_random_model(tmp_path / "model.bin")
    else:
        figures = GLM4_0414 if shape == "glm4" else FLASH
        path = write_random_gguf(tmp_path / "model.gguf", figures, [Kind.Q8_0], vocabulary="none")
    spec = spec_of(path, cache_type)
    prompt = [token % (spec.vocab_size - 1) for token in PROMPT]
    cold = serve(spec, [prompt], None)
    written = serve(spec, [prompt, prompt], tmp_path / "kv")
    restarted = serve(spec, [prompt, prompt], tmp_path / "kv", threads=1)
    assert cold.answers * 2 == written.answers == restarted.answers
    assert (cold.cached, written.cached, restarted.cached) == ([0], [0, 599], [512, 599])
    assert written.read - restarted.read == 512


def test_a_conversation_that_goes_on_writes_only_what_is_new(spec: ModelSpec, tmp_path: Path) -> None:
    """Three conversations with the same beginning: that is on disk once, and nothing is written again."""
    talks = [PROMPT + tokens(seed, 60) for seed in (2, 3, 4)]
    first = serve(spec, talks, tmp_path)
    assert first.cached[0] == 0
    assert min(first.cached[1:]) >= 600
    assert len(files(tmp_path)) == 4 + 3
    before = {path: path.stat().st_ino for path in files(tmp_path)}
    longer = [[*talk, *got, *tokens(5, 200)] for talk, got in zip(talks, first.answers, strict=True)]
    second = serve(spec, longer, tmp_path, together=True)
    assert second.answers == serve(spec, longer, None).answers
    assert second.cached == [640] * 3
    assert {path: path.stat().st_ino for path in before} == before
    assert len(files(tmp_path)) == 4 + 3 * 3
    assert [prefix.tokens for prefix in stored_prefixes(tmp_path)] == [896] * 3


def test_prompts_that_are_read_quickly_are_not_written(spec: ModelSpec, tmp_path: Path) -> None:
    serve(spec, [PROMPT], tmp_path / "kv", after_s=1000)
    assert not (tmp_path / "kv").exists()


def test_only_the_user_may_read_what_is_written(spec: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / "kv").mkdir(mode=0o755)
    serve(spec, [PROMPT], tmp_path / "kv")
    assert {path.stat().st_mode & 0o777 for path in files(tmp_path / "kv")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "kv", *(tmp_path / "kv").iterdir())} == {0o700}


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(1).randrange(len(data))] ^= 1
    path.write_bytes(data)


def another(path: Path) -> None:
    """A whole block, under the name of another."""
    other = next(file for file in path.parent.glob(f"*{SUFFIX}") if file != path)
    path.write_bytes(other.read_bytes())


def linked(path: Path) -> None:
    target = path.with_name("target")
    path.rename(target)
    path.symlink_to(target)


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "empty": lambda path: os.truncate(path, 0),
    "longer": lambda path: os.truncate(path, path.stat().st_size + 1),
    "a bit": flipped,
    "another block": another,
    "a link": linked,
    "a pipe": pipe,
    "gone": Path.unlink,
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_file_that_is_not_whole_is_deleted_and_read_anew(spec: ModelSpec, damage: str, tmp_path: Path) -> None:
    expected = serve(spec, [PROMPT], tmp_path).answers
    sound = {path: path.read_bytes() for path in files(tmp_path)}
    third = sorted(sound, key=lambda path: path.stat().st_mtime_ns)[1]  # the first block is the latest
    DAMAGE[damage](third)
    result = serve(spec, [PROMPT], tmp_path)
    assert result.answers == expected
    assert result.cached == [2 * BLOCK]
    assert {path: path.read_bytes() for path in files(tmp_path)} == sound


def test_other_models_do_not_see_it(spec: ModelSpec, tmp_path: Path) -> None:
    """Of the same shape and size, trained otherwise; and the same in another place."""
    path = tmp_path / "model.bin"
    path.write_bytes(spec.path.read_bytes())
    serve(spec, [PROMPT], tmp_path / "kv")
    assert serve(spec_of(path), [PROMPT], tmp_path / "kv").cached == [512]
    tensor = spec.tensors["blk.1.ffn_down.weight"]
    with path.open("r+b") as file:
        file.seek(tensor.offset + 100)
        file.write(b"\0\0")
    assert serve(spec_of(path), [PROMPT], tmp_path / "kv").cached == [0]
    assert serve(spec_of(spec.path, "q8"), [PROMPT], tmp_path / "kv").cached == [0]


def test_what_was_used_longest_ago_goes_first_and_ends_before_beginnings(spec: ModelSpec, tmp_path: Path) -> None:
    serve(spec, [PROMPT], tmp_path)
    size = files(tmp_path)[0].stat().st_size
    other = tokens(2, 600)
    serve(spec, [other], tmp_path, most_bytes=7 * size)
    assert serve(spec, [other, PROMPT], tmp_path, most_bytes=7 * size, after_s=1000).cached == [512, 256]
    assert sum(file.size for file in stored_files(tmp_path)) <= 7 * size


def test_memory_is_bounded_while_prefixes_come_from_disk(spec: ModelSpec, tmp_path: Path) -> None:
    """Three prompts at once where one and a half fit: all are answered, as without a disk."""
    prompts = [tokens(seed, 600) for seed in (1, 2, 3)]
    expected = serve(spec, prompts, tmp_path).answers
    result = serve(spec, prompts, tmp_path, memory=1000, together=True)
    assert result.answers == expected
    assert result.cached == [512] * 3


def test_servers_share_a_folder_that_is_cleared_meanwhile(tmp_path: Path) -> None:
    """What one has written the other finds. Nothing is written behind a block that is gone, and no part deleted."""
    first, second = (BlockStore(tmp_path, "0" * 64, "tiny", 3, 1 << 20) for _ in range(2))
    blocks = list(blocks_of(PROMPT, first.key))
    for block in blocks[:3]:
        first.write(block, b"abc")
    assert second.find(PROMPT) == blocks[:3]
    assert second.read(blocks[2]) == b"abc"
    assert second.read(blocks[3]) is None
    folder = files(tmp_path)[0].parent
    with (folder / f"written{PART}").open("wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        assert clear(tmp_path) == 3 * file_size(3)
        assert [path.name for path in folder.iterdir()] == [f"written{PART}"]
    first.write(blocks[3], b"abc")
    assert second.find(PROMPT) == []
    first.write(blocks[0], b"abc")
    assert second.find(PROMPT) == blocks[:1]
    BlockStore(tmp_path, "0" * 64, "tiny", 3, 1 << 20)
    assert not list(folder.glob(f"*{PART}"))


def test_notes_stand_beside_the_blocks_they_belong_to(tmp_path: Path) -> None:
    """They are private, bounded with the blocks, and believed only if they are whole."""
    store, again = (BlockStore(tmp_path, "0" * 64, "tiny", 3, 1 << 20) for _ in range(2))
    store.write_note("a", PROMPT, b"known")
    assert not files(tmp_path)
    store.write(next(blocks_of(PROMPT, store.key)), b"abc")
    store.write_note("a", PROMPT, b"known")
    store.write_note("a", PROMPT, b"known better")
    store.write_note("a", PROMPT[:100], b"of a prompt that is not on disk")
    store.write_note("b", PROMPT, bytes(MOST_BYTES + 1))
    assert again.read_note("a") == b"known better"
    assert again.read_note("b") is None
    (note,) = (path for path in files(tmp_path) if path.suffix == NOTE_SUFFIX)
    assert note.stat().st_mode & 0o777 == 0o600
    whole = note.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", whole + b"!", whole.replace(b"better", b"bitter")):
        note.write_bytes(broken)
        assert again.read_note("a") is None
        assert not note.exists()
    note.with_name(f"c{NOTE_SUFFIX}").write_bytes(whole)
    assert again.read_note("c") is None
    store.write_note("a", PROMPT, b"known")
    assert clear(tmp_path) > 0
    assert not list(tmp_path.iterdir())
    assert again.read_note("a") is None


def test_a_server_that_is_killed_while_it_writes_leaves_nothing_broken() -> None:
    """At random moments; see `kill_while_writing.py`, which can be run for longer by hand."""
    command = [sys.executable, "-m", "tests.decoding.kill_while_writing", "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": PATHS})
    assert done.returncode == 0, done.stderr
    assert "in_a_write=4" in done.stdout
