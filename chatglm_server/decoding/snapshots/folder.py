"""The folder of all blocks on this machine: a folder for each model, in it a file for each block and each note.

Its files hold what users wrote, as tokens, so only this user may read them. Servers may share the folder: a file
appears whole, its content depends on its name alone, and any may be deleted at any time.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from errno import EPERM
from pathlib import Path

from ...cache_folder import cache_folder
from .block_file import PART, SUFFIX, read_place, remove_leftover
from .blocks import BLOCK
from .note_file import NOTE_SUFFIX

TITLE = "model.txt"
"""In a model's folder: the model's name for people."""

_NAME_DIGITS = 64
_LONGEST_TITLE = 200


def default_folder() -> Path:
    """Where the blocks of this user lie. Raises: ModelFileError without a home folder."""
    return cache_folder() / "kv"


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a block or a note; `used` is when it was last used, in nanoseconds."""

    path: Path
    size: int
    used: int


@dataclass(frozen=True, slots=True)
class StoredPrefix:
    """A prefix that no other one goes on from. `size` is that of its blocks which no prefix used later has; `path` is
    the last one's file.
    """

    model: str
    tokens: int
    size: int
    used: int
    path: Path


def make_private(folder: Path) -> None:
    """Make a folder that only this user may read. Raises: OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    check_own(folder)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def check_own(folder: Path) -> None:
    """Raises: OSError if a folder belongs to another user, who could have put anything into it.

    On Windows the folders of a user's profile are that user's alone, and no call here tells whose another one is.
    """
    if sys.platform != "win32" and folder.stat().st_uid != os.geteuid():
        raise PermissionError(EPERM, "it belongs to another user")


def stored_files(root: Path) -> Iterator[StoredFile]:
    """The files of all blocks and notes. Passes over what cannot be read, or is deleted meanwhile."""
    for folder in _model_folders(root):
        for entry in _entries(folder):
            if entry.name.endswith((SUFFIX, NOTE_SUFFIX)):
                with suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    yield StoredFile(Path(entry.path), found.st_size, found.st_mtime_ns)


def remove_leftovers(root: Path) -> None:
    """Delete what servers were writing when they were killed."""
    for folder in _model_folders(root):
        for entry in _entries(folder):
            if entry.name.endswith(PART):
                with suppress(OSError):
                    remove_leftover(Path(entry.path))


def remove_oldest(root: Path, most: int) -> int:
    """Delete the files that were used longest ago, until the others take at most `most` bytes. Returns what they take.

    The first blocks of a prefix are dated later than those behind them, so they go last.
    """
    files = sorted(stored_files(root), key=lambda file: file.used)
    total = sum(file.size for file in files)
    for file in files:
        if total <= most:
            break
        with suppress(OSError):
            file.path.unlink(missing_ok=True)
            total -= file.size
    return total


def stored_prefixes(root: Path) -> list[StoredPrefix]:
    """The prefixes of all models, those used last first."""
    found = []
    for folder in _model_folders(root):
        parents, sizes, used, starts = {}, {}, {}, {}
        for entry in _entries(folder):
            name = entry.name.removesuffix(SUFFIX)
            if name == entry.name:
                continue
            with suppress(OSError):
                place = read_place(Path(entry.path))
                status = entry.stat(follow_symlinks=False)
                sizes[name], used[name] = status.st_size, status.st_mtime_ns
                parents[name], starts[name] = place or ("", -BLOCK)
        ends = sorted(sizes.keys() - set(parents.values()), key=lambda name: used[name], reverse=True)
        for end in ends:
            size, name = 0, end
            while name in sizes:
                size += sizes.pop(name)
                name = parents[name]
            found.append(StoredPrefix(_title(folder), starts[end] + BLOCK, size, used[end], folder / (end + SUFFIX)))
    return sorted(found, key=lambda prefix: prefix.used, reverse=True)


def clear(root: Path) -> int:
    """Delete all blocks and notes. Returns the bytes that they took. Raises: OSError."""
    remove_leftovers(root)
    freed = 0
    for file in stored_files(root):
        file.path.unlink(missing_ok=True)
        freed += file.size
    for folder in _model_folders(root):
        (folder / TITLE).unlink(missing_ok=True)
        with suppress(OSError):  # a server has put a block into it
            folder.rmdir()
    return freed


def age_s(prefix: StoredPrefix) -> float:
    """Seconds since a prefix was last used."""
    return max(0.0, (time.time_ns() - prefix.used) / 1e9)


def _title(folder: Path) -> str:
    try:
        with (folder / TITLE).open(encoding="utf-8", errors="replace") as file:
            title = file.read(_LONGEST_TITLE)
    except OSError:
        return "?"
    return title if title.isprintable() and title else "?"


def _model_folders(root: Path) -> list[Path]:
    """Those whose names are keys of models: nothing else is ours."""
    return [
        Path(entry.path)
        for entry in _entries(root)
        if len(entry.name) == _NAME_DIGITS and entry.is_dir(follow_symlinks=False)
    ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
