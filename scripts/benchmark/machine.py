"""Describes the machine and the compiler, which the figures depend on."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

import chatglm_native

_FLAGS = ("avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8")
_COMPILER = re.compile(rb"GCC: \([^)\0]*\) [\d.]+|clang version [\d.]+")


def describe(cpus: list[int]) -> list[str]:
    """One line each."""
    info = _proc("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", info, re.MULTILINE)
    flags = set((re.search(r"^flags\s*: (.+)$", info, re.MULTILINE) or [""])[0].split())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    huge = re.search(r"\[(\w+)\]", _proc("/sys/kernel/mm/transparent_hugepage/enabled"))
    return [
        f"processor: {model[1] if model else platform.processor() or platform.machine()}, "
        f"{len(cpus)} of {os.cpu_count()} CPUs used; {' '.join(flag for flag in _FLAGS if flag in flags)}",
        f"memory: {memory:.1f} GB, huge pages: {huge[1] if huge else 'unknown'}",
        f"system: {platform.system()} {platform.release()}, Python {platform.python_version()}",
        f"native core compiled by: {_compiler()}",
    ]


def usable_cpus() -> list[int]:
    """CPUs that this process may run on."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def available_memory() -> int:
    """Bytes that are available without swapping; 0 if the system does not say."""
    found = re.search(r"^MemAvailable:\s+(\d+)", _proc("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) << 10 if found else 0


def _proc(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _compiler() -> str:
    """The name and version that the compiler wrote into the module."""
    found = _COMPILER.search(Path(chatglm_native.__file__).read_bytes())
    return found[0].decode() if found else "unknown"
