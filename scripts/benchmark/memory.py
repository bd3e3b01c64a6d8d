"""How fast this machine reads memory: the bound on decoding, which reads every weight once a token.

libc's ``memchr`` reads it, searching a byte that does not occur: a short loop, vectorized in every libc. ctypes
releases Python's GIL, so that threads read their parts of the buffer at the same time. ``memchr`` reads several times
as fast from a core's own cache (see `cache_rate`), so the memory is the bound here.
"""

from __future__ import annotations

import ctypes
import mmap
import statistics
import threading
import time
from itertools import pairwise
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None)
_libc.memchr.restype = ctypes.c_void_p
_libc.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
_ABSENT = 1  # the buffers hold zeros
_CACHED = 256 << 10
_PASSES = 5


def read_rate(size: int, threads: int) -> float:
    """Bytes a second, the median of a few passes over `size` bytes in huge pages, as the weights are."""
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    with mmap.mmap(-1, size, flags=flags) as pages:
        if hasattr(mmap, "MADV_HUGEPAGE"):
            pages.madvise(mmap.MADV_HUGEPAGE)
        view = np.frombuffer(pages, np.uint8)
        view[:] = 0  # so that every page exists
        address = view.ctypes.data
        rate = statistics.median(_pass(address, size, threads) for _ in range(_PASSES))
        del view  # pages that are still in use cannot be unmapped
    return rate


def _pass(address: int, size: int, threads: int) -> float:
    bounds = [size * part // threads for part in range(threads + 1)]
    readers = [
        threading.Thread(target=_libc.memchr, args=(address + begin, _ABSENT, end - begin))
        for begin, end in pairwise(bounds)
    ]
    started = time.perf_counter()
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    return size / (time.perf_counter() - started)


def cache_rate() -> float:
    """Bytes a second that one thread reads from its core's cache."""
    buffer = np.full(_CACHED, 0, np.uint8)
    address = buffer.ctypes.data
    _libc.memchr(address, _ABSENT, _CACHED)
    times = 1000
    started = time.perf_counter()
    for _ in range(times):
        _libc.memchr(address, _ABSENT, _CACHED)
    return times * _CACHED / (time.perf_counter() - started)


def resident() -> int:
    """Bytes of memory that this process holds, mapped files' pages included; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("Rss:")), 0)
