"""How many CPUs this process may use: its affinity and the quotas of its control groups."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def usable_cpus(root: Path = Path("/")) -> int:
    """At least 1. A limit that the system does not report does not count (affinity on macOS, no control groups).

    A quota of 1.5 CPUs counts as 2, as in the JVM and Go. ``/proc`` and ``/sys`` are looked for in `root`.
    """
    if sys.platform == "linux":
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quotas = [quota for folder in _groups(root) if (quota := _quota(folder)) is not None]
    return max(1, min([cpus, *map(math.ceil, quotas)]))


def _groups(root: Path) -> Iterator[Path]:
    """Folders of the control groups that can limit this process's CPU time, and of the groups around them.

    See cgroups(7) and proc_pid_mountinfo(5). Version 1 has a hierarchy for each controller, version 2 one for all.
    """
    own = {}  # controller → group; version 2 names none: ""
    for line in _lines(root / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        own.update({controller: PurePosixPath(path) for controller in controllers.split(",")})
    for line in _lines(root / "proc/self/mountinfo"):
        left, _, right = line.partition(" - ")
        mount, system = left.split(" "), right.split(" ")
        if len(mount) < 5 or len(system) < 3:
            continue
        if system[0] == "cgroup2":
            group = own.get("")
        elif system[0] == "cgroup" and "cpu" in system[2].split(","):
            group = own.get("cpu")
        else:
            continue
        # a container may see only a part of the tree; its group's path may be in that part or in the whole tree
        shown, folder = mount[3], root / mount[4].lstrip("/")
        inside = group.relative_to(shown) if group and group.is_relative_to(shown) else PurePosixPath()
        if ".." in inside.parts:
            inside = PurePosixPath()
        for part in (inside, *inside.parents):
            yield folder / part


def _quota(folder: Path) -> float | None:
    """CPUs; None if the group has no limit. The files give a quota of time and its period, both in microseconds."""
    numbers = _numbers(folder / "cpu.max") or [  # version 2: "max 100000" without a limit; version 1: -1
        *_numbers(folder / "cpu.cfs_quota_us"),
        *_numbers(folder / "cpu.cfs_period_us"),
    ]
    if len(numbers) != 2 or min(numbers) <= 0:
        return None
    return numbers[0] / numbers[1]


def _numbers(path: Path) -> list[int]:
    return [int(word) for line in _lines(path) for word in re.findall(r"(?<!\S)-?[0-9]{1,18}(?!\S)", line)]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
