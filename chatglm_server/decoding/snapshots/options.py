"""Whether and where prefixes are kept on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ...model_files.spec import ModelSpec
from ..model import PortableCache
from .block_file import SUFFIX, file_size
from .blocks import BLOCK
from .folder import stored_files
from .model_key import model_key
from .snapshots import Snapshots
from .store import BlockStore

_log = logging.getLogger("chatglm_server")


@dataclass(frozen=True, slots=True)
class SnapshotOptions:
    """The folder for prefixes of all models, and the bytes that it may hold. A prefix goes there if reading it takes
    `after_s` seconds. `title` names the model for people.
    """

    folder: Path
    most_bytes: int
    after_s: float
    title: str


def open_snapshots(options: SnapshotOptions, spec: ModelSpec, cache: PortableCache) -> Snapshots | None:
    """The prefixes of a model on disk; None, with a line that says why, if they cannot be used."""
    block_bytes = cache.cache_bytes(BLOCK)
    if options.most_bytes < file_size(block_bytes):
        _log.warning("kv: --kv-disk-mb is too small for %d tokens: no prefixes are kept on disk", BLOCK)
        return None
    try:
        key = model_key(spec, cache.kernels)
        store = BlockStore(options.folder, key, options.title, block_bytes, options.most_bytes)
    except OSError as error:
        _log.warning("kv: no prefixes are kept on disk: %s: %s", options.folder, error.strerror or error)
        return None
    sizes = [file.size for file in stored_files(options.folder) if file.path.suffix == SUFFIX]
    if sizes:
        _log.info("kv: %d blocks of prefixes on disk, %.2f GB", len(sizes), sum(sizes) / 1e9)
    return Snapshots(cache, store, options.after_s)
