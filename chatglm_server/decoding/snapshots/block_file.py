"""The file of a block: written whole or not at all, and believed only if every byte is right.

==========  ================================================
bytes       content
==========  ================================================
16          "chatglm-server", the format's version, a zero
32          the parent's name
8           the place of the block's first token in the prefix
4 * BLOCK   the tokens
32          SHA-256 of all bytes but these
the rest    keys and values, in the core's own order
==========  ================================================
"""

from __future__ import annotations

import os
import struct
import sys
import tempfile
from collections.abc import Sequence
from hashlib import sha256
from io import FileIO
from pathlib import Path

from ... import open_files
from .blocks import BLOCK, Block

SUFFIX = ".kv"
PART = ".part"
"""Of files that are being written."""

_MAGIC = b"chatglm-server\x01\x00"
_HEAD = struct.Struct(f"<16s32sQ{4 * BLOCK}s")
_DIGEST = 32
if sys.platform == "win32":
    _READ = os.O_RDONLY | os.O_BINARY | os.O_NOINHERIT
else:
    _READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def file_size(block_bytes: int) -> int:
    """Bytes of a file whose keys and values take `block_bytes`."""
    return _HEAD.size + _DIGEST + block_bytes


def write_block(path: Path, block: Block, data: bytes, used_ns: int) -> None:
    """Write a block's keys and values to `path`, which then is complete and on the disk. `used_ns` is its date.

    Raises: OSError.
    """
    head = _head(block)
    write_whole(path, (head, _digest(head, data), data), used_ns)


def write_whole(path: Path, pieces: Sequence[bytes], used_ns: int) -> None:
    """Write a file that has `pieces`, one after the other, and the date `used_ns`: all of it or none.

    Raises: OSError.
    """
    # mkstemp gives the file to this user alone
    descriptor, name = tempfile.mkstemp(suffix=PART, dir=path.parent)
    part = Path(name)
    try:
        with FileIO(descriptor, "wb") as file:
            open_files.try_lock(file)  # nobody else has it yet; see `remove_leftover`
            for piece in pieces:
                _write_all(descriptor, piece)
            os.fsync(descriptor)
            os.utime(part, ns=(used_ns, used_ns))
            open_files.rename(file, part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_block(path: Path, block: Block, block_bytes: int) -> bytes | None:
    """The keys and values of a block; None if the file is not exactly this block's.

    Raises: OSError, FileNotFoundError among them.
    """
    with opened(path) as file:
        if os.fstat(file.fileno()).st_size != file_size(block_bytes):
            return None
        head, digest, data = file.read(_HEAD.size), file.read(_DIGEST), file.read(block_bytes)
    return data if head == _head(block) and digest == _digest(head, data) else None


def read_place(path: Path) -> tuple[str, int] | None:
    """The parent's name of a block, and the place of its first token; None if the file is not a block's.

    Raises: OSError.
    """
    with opened(path) as file:
        head = file.read(_HEAD.size)
    if len(head) != _HEAD.size:
        return None
    magic, parent, start, _ = _HEAD.unpack(head)
    return (parent.hex(), start) if magic == _MAGIC else None


def remove_leftover(path: Path) -> None:
    """Delete a file that was being written when its writer ended. Raises: OSError."""
    with opened(path) as file:
        if open_files.try_lock(file):  # else another server is writing it
            open_files.delete(file, path)


def _head(block: Block) -> bytes:
    return _HEAD.pack(_MAGIC, bytes.fromhex(block.parent), block.start, block.tokens)


def _digest(head: bytes, data: bytes) -> bytes:
    digest = sha256(head)
    digest.update(data)
    return digest.digest()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def opened(path: Path) -> FileIO:
    """A file to read, not through a symbolic link, and without waiting for the writer of a pipe. Raises: OSError."""
    return FileIO(os.open(path, _READ), "rb")
