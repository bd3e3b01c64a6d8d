"""How much memory this process may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_SELF = Path("/proc/self/cgroup")


def memory_limit(cgroups: Path = _CGROUPS, own: Path = _SELF) -> tuple[int, bool]:
    """Bytes of memory, and True if a container's limit is below what the machine has.

    Reads the limits of version 2 and 1 of the kernel's control groups, the process's own and all above it.
    """
    if sys.platform == "win32":
        machine = psutil.virtual_memory().total
    else:
        machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = min([machine, *_limits(cgroups, own)])
    return limit, limit < machine


def _limits(cgroups: Path, own: Path) -> list[int]:
    """The limits that are set, in bytes."""
    folders = {cgroups, cgroups / "memory"}
    for line in _read(own).splitlines():
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        root = cgroups / "memory" if "memory" in controllers.split(",") else cgroups
        folder = root / path.lstrip("/")
        folders |= {folder, *(parent for parent in folder.parents if root in (parent, *parent.parents))}
    texts = [_read(folder / name) for folder in folders for name in ("memory.max", "memory.limit_in_bytes")]
    return [int(text) for text in texts if text.strip().isdigit()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
