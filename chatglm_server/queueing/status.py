"""The state of an engine, as ``/health`` and the log report it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import NotRequired, TypedDict  # pydantic wants this one before Python 3.12


class QueueStatus(TypedDict):
    """Requests that are answered, requests that wait, and how many may wait."""

    running: int
    waiting: int
    max: int


class TokenStatus(TypedDict):
    """Tokens of prompts that were read since the start, without those from the cache, and tokens of answers."""

    read: int
    generated: int


class DraftStatus(TypedDict):
    """Tokens that were guessed ahead since the start, and how many of them were right."""

    drafted: int
    accepted: int


class ReadingStatus(TypedDict):
    """A prompt that is being read: how much of its `tokens` is known, from the cache too, and seconds of reading."""

    tokens: int
    cached: int
    read: int
    seconds: float


class CacheStatus(TypedDict):
    """Tokens whose keys and values are in memory, and how many there may be."""

    tokens: int
    most: int


class DiskStatus(TypedDict):
    """Tokens of prompts that were read from disk since the start, and tokens that were written there. `bytes` are on
    disk, of all models, as they were counted last; at most `most_bytes`.
    """

    read: int
    written: int
    bytes: int
    most_bytes: int


class BackendStatus(TypedDict):
    """A server that requests go on to. `running` of them are there now; `requests` were sent since the start, and so
    many `failures` came back. `in_service` is false while it is left out after one. `problem` says what is wrong.
    """

    address: str
    in_service: bool
    running: int
    requests: int
    failures: int
    problem: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Status:
    """`ready`: requests are answered. `loaded`: the model is in memory, or else the next request loads it.
    `backend`: the address of the server that requests go on to, if there is one, or of several. `backends`: each.
    `drafts`: what was guessed ahead, if anything ever is. `reading`: the prompts that are being read.
    `tokens`: of an engine that computes them. `kv_cache`: of an engine that has one, once it is ready. `kv_disk`: the
    traffic of prefixes on disk, if any. `models`: of an engine with several models, each one that was asked for, by its
    name.

    `wait_s`: seconds to the first token of the shortest request that comes now; None if nothing tells.

    `unloads_in_s`: seconds until the model leaves memory, if no request comes; infinite: never.

    `problem` says why requests would fail now, though the engine is ready; None if nothing is known to be wrong.
    """

    ready: bool
    queue: QueueStatus
    backend: str | None = None
    problem: str | None = None
    drafts: DraftStatus | None = None
    reading: Sequence[ReadingStatus] = ()
    tokens: TokenStatus | None = None
    kv_cache: CacheStatus | None = None
    kv_disk: DiskStatus | None = None
    wait_s: float | None = None
    unloads_in_s: float = math.inf
    loaded: bool = True
    models: Mapping[str, Status] = field(default_factory=dict)
    backends: Sequence[BackendStatus] = ()
