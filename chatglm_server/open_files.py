"""What systems do differently with files that are open: locks, new names, and deletion.

Windows renames and deletes no file that Python holds open. So there the file is closed first, and its lock is gone a
moment earlier.
"""

from __future__ import annotations

import os
import sys
from io import FileIO
from pathlib import Path
from typing import BinaryIO

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_LOCKED_BYTE = 1 << 62
"""The byte that is locked on Windows, which lets nobody else read what is locked: no file is so long."""


def try_lock(file: BinaryIO | FileIO) -> bool:
    """Lock a file against others that lock it, until it is closed or this process ends. False if it is locked.

    Raises: OSError.
    """
    try:
        if sys.platform == "win32":
            place = os.lseek(file.fileno(), 0, os.SEEK_CUR)
            os.lseek(file.fileno(), _LOCKED_BYTE, os.SEEK_SET)
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(file.fileno(), place, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # on Windows the latter
        return False
    return True


def rename(file: BinaryIO | FileIO, path: Path, target: Path) -> None:
    """Give `file`, which is open at `path`, the name `target`, whether that exists or not. Raises: OSError."""
    _close_on_windows(file)
    path.replace(target)


def delete(file: BinaryIO | FileIO, path: Path) -> None:
    """Delete `file`, which is open at `path`. Raises: OSError."""
    _close_on_windows(file)
    path.unlink()


def _close_on_windows(file: BinaryIO | FileIO) -> None:
    if sys.platform == "win32":
        file.close()
