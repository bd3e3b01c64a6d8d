"""Checks of what this machine computes with: the core and its instructions, CPUs, memory, and measured speed."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import psutil

from ...decoding.backends.cpus import usable_cpus
from ...hub.sizes import size_text
from ...memory import memory_limit
from ...settings import Settings
from ..speed import MachineSpeed, measure_machine
from .finding import Finding

_FEATURES = (
    *("avx2", "fma", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"),
    *("asimd", "asimddp"),
)
"""Flags of ``/proc/cpuinfo`` by which the core chooses its kernels."""
_WITHOUT_VECTORS = "generic"
_Q4_K = 12  # ggml's number of the type that fills most files people download
_PROBE_S = 1.0
_BUSY = 0.5  # of the CPUs
_FASTER = 1.1


def check_core(cpu: str) -> Finding:
    """The compute core and the kernels that will run. `cpu` is the option of that name."""
    try:
        import chatglm_native
    except ImportError as error:
        return Finding("core", "problem", f"it cannot be loaded: {error}", "install chatglm-server with pip again")
    kernels = chatglm_native.kernels()
    name, flags = _processor()
    features = f"; it has {', '.join(flags)}" if flags else ""
    if cpu != "auto" and cpu not in kernels:
        return Finding(
            "core", "problem", f"CHATGLM_CPU is {cpu}, which {name} cannot run", f"take {kernels[0]} or auto"
        )
    chosen = kernels[0] if cpu == "auto" else cpu
    found = f"{chosen} kernels on {name}{features}"
    if kernels[0] == _WITHOUT_VECTORS:
        advice = "take a processor with AVX2 or NEON; in a virtual machine, let it see the host's processor"
        return Finding("core", "warning", f"{found}: prompts are read slowly", advice)
    if chosen != kernels[0]:
        return Finding("core", "warning", found, f"leave out CHATGLM_CPU: {kernels[0]} is faster")
    return Finding("core", "ok", found)


def check_cpus(threads: int | None) -> Finding:
    """The CPUs that this process may use. `threads` is the option of that name."""
    usable, there = usable_cpus(), os.cpu_count() or 1
    found = f"{threads or usable} threads on {usable} of {there} CPUs"
    if threads is not None and threads > usable:
        return Finding("CPUs", "warning", found, f"leave out CHATGLM_THREADS: more threads than {usable} wait for CPUs")
    battery = psutil.sensors_battery()
    if battery is not None and battery.power_plugged is False:
        return Finding("CPUs", "warning", f"{found}, on battery", "plug the machine in: on battery it computes slower")
    if usable < there:
        return Finding("CPUs", "ok", f"{found}: an affinity or a limit of a container leaves out the others")
    return Finding("CPUs", "ok", found)


def check_memory() -> Finding:
    """The memory that models may take, and what of it is free."""
    limit, in_container = memory_limit()
    free = free_memory()
    found = f"{size_text(limit)}{', the limit of this container' if in_container else ''}; {size_text(free)} are free"
    if free < limit / 2:
        return Finding("memory", "warning", found, "end other programs before you start a large model")
    return Finding("memory", "ok", found)


def free_memory() -> int:
    """Bytes that programs can get now; what the system only keeps of files counts as free."""
    return min(int(psutil.virtual_memory().available), memory_limit()[0])


def measure(settings: Settings) -> Iterator[MachineSpeed]:
    """The speed with the threads that the server would take; then with one a core, if cores run two threads each."""
    yield measure_machine(_Q4_K, _PROBE_S, settings.threads, settings.cpu)
    cores = psutil.cpu_count(logical=False)
    if settings.threads is None and cores and cores < usable_cpus() == os.cpu_count():
        yield measure_machine(_Q4_K, _PROBE_S, cores, settings.cpu)


def check_speed(usual: MachineSpeed, fewer: MachineSpeed | None) -> Finding:
    """The measured rates: with the threads that the server would take, and with fewer."""
    found = (
        f"{size_text(int(usual.read))} of weights and {usual.computed / 1e9:.0f} billion products a second with "
        f"{usual.threads} threads"
    )
    load = psutil.getloadavg()[0]
    if load > _BUSY * usable_cpus():
        advice = "run doctor again when they have ended"
        return Finding("speed", "warning", f"{found}, while other programs computed (load {load:.1f})", advice)
    if fewer is not None and fewer.read > _FASTER * usual.read:
        advice = f"set CHATGLM_THREADS={fewer.threads}: answers are {fewer.read / usual.read:.1f} times as fast"
        return Finding("speed", "warning", found, advice)
    return Finding("speed", "ok", found)


def _processor() -> tuple[str, list[str]]:
    """The processor's name, and those of its features that matter; only Linux tells them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)$", text, re.MULTILINE)
    known = set(flags[1].split()) if flags else set()
    return (
        name[1] if name else platform.processor() or platform.machine(),
        [feature for feature in _FEATURES if feature in known],
    )
