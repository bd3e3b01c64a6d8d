"""The file of a note: what is to be known of a prefix besides its keys and values. As small as an answer.

=====  ==========================================
bytes  content
=====  ==========================================
16     "chatglm-note", the format's version, zeros
32     SHA-256 of the file's name and the note
rest   the note
=====  ==========================================
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from .block_file import opened, write_whole

NOTE_SUFFIX = ".note"
MOST_BYTES = 4 << 20
"""Of a note."""

_MAGIC = b"chatglm-note\x01\x00\x00\x00"
_DIGEST = 32


def note_size(note: bytes) -> int:
    """Bytes of a note's file."""
    return len(_MAGIC) + _DIGEST + len(note)


def write_note(path: Path, note: bytes, used_ns: int) -> None:
    """Write a note to `path`, in place of an older one. `used_ns` is its date. Raises: OSError."""
    write_whole(path, (_MAGIC, _digest(path, note), note), used_ns)


def read_note(path: Path) -> bytes | None:
    """A note; None if the file is not one, or not whole. Raises: OSError, FileNotFoundError among them."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size - note_size(b"")
        if not 0 <= size <= MOST_BYTES:
            return None
        magic, digest, note = file.read(len(_MAGIC)), file.read(_DIGEST), file.read(size)
    return note if magic == _MAGIC and digest == _digest(path, note) else None


def _digest(path: Path, note: bytes) -> bytes:
    return sha256(path.name.encode() + b"\0" + note).digest()
