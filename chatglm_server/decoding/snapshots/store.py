"""The files of one model on disk: found by name, checked when they are read, the least recently used deleted."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from .block_file import SUFFIX, file_size, read_block, write_block
from .blocks import Block, blocks_of
from .folder import TITLE, check_own, make_private, remove_leftovers, remove_oldest, stored_files
from .note_file import MOST_BYTES, NOTE_SUFFIX, note_size, read_note, write_note

_KEPT = 0.95
"""Of the limit, when old blocks are deleted: so that this is not due at every block."""
_LOOK_AGAIN = 1 / 16
"""Of the limit: after so many bytes written the folder is counted again, for other servers write, too."""
_LEAST_FREE = 1 << 30
"""Bytes of the disk that are left to others."""
_REST_S = 60.0
"""How long nothing is written after the disk was full or failed."""

_log = logging.getLogger("chatglm_server")


class BlockStore:
    """The blocks of the model `key` below the folder `root`, which holds at most `limit` bytes, of all models.

    `write` and `write_note` are called by one thread, the other methods by any.
    """

    def __init__(self, root: Path, key: str, title: str, block_bytes: int, limit: int) -> None:
        """`title` names the model for people; the keys and values of a block take `block_bytes`.

        Raises: OSError.
        """
        self.key = key
        self.root = root
        self._folder = root / key
        self._title = title
        self._block_bytes = block_bytes
        self.limit = limit
        if root.exists():
            check_own(root)
        remove_leftovers(root)
        self.written = 0
        """Blocks, since the start."""
        self.held = 0
        """Bytes in the folder, of all models, as they were counted last, and what was written since."""
        self._room = 0
        self._rests_until = 0.0
        self._told = ""  # why nothing is written
        self._make_room(file_size(block_bytes))

    @property
    def writable(self) -> bool:
        """False for a while after the disk was full or failed."""
        return time.monotonic() >= self._rests_until

    def find(self, tokens: Sequence[int]) -> list[Block]:
        """The blocks at the beginning of `tokens` that are on disk; notes that they are used."""
        found: list[Block] = []
        now = time.time_ns()
        for block in blocks_of(tokens, self.key):
            date = now - len(found)  # later blocks are older: see `remove_oldest`
            try:
                os.utime(self._path(block), ns=(date, date), follow_symlinks=False)
            except OSError:
                break
            found.append(block)
        return found

    def read(self, block: Block) -> bytes | None:
        """The keys and values of a block; None if it is gone, or was broken and is deleted now."""
        path = self._path(block)
        try:
            data = read_block(path, block, self._block_bytes)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                _log.warning("kv: %s: %s", path, error.strerror or error)
            data = None
        if data is None:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return data

    def write(self, block: Block, data: bytes) -> None:
        """Put a block on disk, unless it is there, its parent is not, or the disk has no room."""
        path = self._path(block)
        try:
            if not self.writable or path.exists():
                return
            date = time.time_ns()
            if block.start:
                date = (self._folder / (block.parent + SUFFIX)).stat().st_mtime_ns - 1
            else:
                self._make_folder()
            if self._has_room(file_size(self._block_bytes)):
                write_block(path, block, data, date)
                self.written += 1
                self.held += file_size(self._block_bytes)
                self._told = ""
        except FileNotFoundError:  # the parent was deleted
            return
        except OSError as error:
            self._rest(error.strerror or str(error))

    def write_note(self, name: str, prefix: Sequence[int], note: bytes) -> None:
        """Put a note of a `prefix` on disk, in place of an older one, if the beginning of the prefix is there."""
        first = next(blocks_of(prefix, self.key), None)
        try:
            if first is None or len(note) > MOST_BYTES or not self.writable or not self._path(first).exists():
                return
            if self._has_room(note_size(note)):
                write_note(self._folder / (name + NOTE_SUFFIX), note, time.time_ns())
                self.held += note_size(note)
        except OSError as error:
            self._rest(error.strerror or str(error))

    def read_note(self, name: str) -> bytes | None:
        """A note, whose date becomes now; None if there is none. A broken one is deleted."""
        path = self._folder / (name + NOTE_SUFFIX)
        try:
            note = read_note(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("kv: %s: %s", path, error.strerror or error)
            note = None
        with suppress(OSError):
            if note is None:
                path.unlink(missing_ok=True)
            else:
                os.utime(path, follow_symlinks=False)
        return note

    def _make_folder(self) -> None:
        make_private(self.root)
        make_private(self._folder)
        title = self._folder / TITLE
        title.touch(mode=0o600)
        title.write_text(self._title, encoding="utf-8", errors="replace")

    def _has_room(self, size: int) -> bool:
        """True if a file of so many bytes may be written. Raises: OSError."""
        if shutil.disk_usage(self._folder).free < size + _LEAST_FREE:
            self._rest("the disk has less than 1 GiB left")
            return False
        self._room -= size
        if self._room < 0:
            self._make_room(size)
        return self._room >= 0

    def _make_room(self, size: int) -> None:
        """Delete old files if there is no room for one of `size` bytes, and count how many bytes may be written behind
        it before the next look.
        """
        total = sum(file.size for file in stored_files(self.root))
        if total + size > self.limit:
            total = remove_oldest(self.root, int(_KEPT * self.limit) - size)
        self.held = total
        self._room = min(self.limit - total - size, int(_LOOK_AGAIN * self.limit))

    def _rest(self, why: str) -> None:
        self._rests_until = time.monotonic() + _REST_S
        if why != self._told:
            _log.warning("kv: prefixes are not written to %s for now: %s", self._folder, why)
            self._told = why

    def _path(self, block: Block) -> Path:
        return self._folder / (block.name + SUFFIX)
