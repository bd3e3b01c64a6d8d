"""How fast this machine reads memory and cached files: the bounds on decoding and on loading.

Decoding reads every weight once a token. Here libc's ``memchr`` reads them, searching a byte that does not occur: a
short loop, vectorized in every libc. ctypes releases Python's GIL, so that threads read their parts of the buffer at
the same time. ``memchr`` reads several times as fast from a core's own cache (see `cache_rate`), so the memory is the
bound here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import statistics
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np

_libc = ctypes.CDLL(None)
_libc.memchr.restype = ctypes.c_void_p
_libc.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
_ABSENT = 1  # the buffers hold zeros
_CACHED = 256 << 10
_PASSES = 5
_PIECE = 8 << 20


def read_rate(size: int, threads: int) -> float:
    """Bytes a second, the median of a few passes over `size` bytes in huge pages, as the weights are."""
    with _new_pages(size) as pages:
        view = np.frombuffer(pages, np.uint8)
        view[:] = 0  # so that every page exists
        address = view.ctypes.data
        rate = statistics.median(_pass(address, size, threads) for _ in range(_PASSES))
        del view  # pages that are still in use cannot be unmapped
    return rate


def file_seconds(path: Path, threads: int) -> float:
    """How long it takes to read a file into memory that is new, as that of weights is. Raises: OSError."""
    size = path.stat().st_size
    with path.open("rb", buffering=0) as file, _new_pages(size) as pages, memoryview(pages) as view:

        def read(begin: int, end: int) -> None:
            while begin < end and (count := os.preadv(file.fileno(), [view[begin : min(end, begin + _PIECE)]], begin)):
                begin += count

        return _seconds(read, size, threads)


def _new_pages(size: int) -> mmap.mmap:
    """Memory in huge pages, as the core has it; no page exists yet."""
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return pages


def _pass(address: int, size: int, threads: int) -> float:
    def read(begin: int, end: int) -> None:
        _libc.memchr(address + begin, _ABSENT, end - begin)

    return size / _seconds(read, size, threads)


def _seconds(work: Callable[[int, int], None], size: int, threads: int) -> float:
    """How long threads take together, each with its part from `begin` to `end` of `size`."""
    bounds = [size * part // threads for part in range(threads + 1)]
    workers = [threading.Thread(target=work, args=part) for part in pairwise(bounds)]
    started = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return time.perf_counter() - started


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
