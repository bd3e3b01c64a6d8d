"""The state of several engines as that of one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

from ..queueing.status import CacheStatus, DiskStatus, DraftStatus, QueueStatus, Status, TokenStatus

NO_REPLICA = Status(ready=False, queue={"running": 0, "waiting": 0, "max": 0})


def summed(states: Sequence[Status]) -> Status:
    """The state of all replicas. Counts are sums; a request that comes now waits as long as at the least busy one.

    `kv_disk` counts a folder once for each replica that uses it. Without a replica, nothing is ready.
    """
    ready = [state for state in states if state.ready]
    if not ready:
        return NO_REPLICA
    return Status(
        ready=True,
        queue=cast(QueueStatus, _sum(state.queue for state in ready)),
        backend=ready[0].backend,
        problem=next((state.problem for state in ready if state.problem is not None), None),
        drafts=cast("DraftStatus | None", _sum(state.drafts for state in ready)),
        reading=[reading for state in ready for reading in state.reading],
        tokens=cast("TokenStatus | None", _sum(state.tokens for state in ready)),
        kv_cache=cast("CacheStatus | None", _sum(state.kv_cache for state in ready)),
        kv_disk=cast("DiskStatus | None", _sum(state.kv_disk for state in ready)),
        wait_s=min((state.wait_s for state in ready if state.wait_s is not None), default=None),
        unloads_in_s=max(state.unloads_in_s for state in ready),
        loaded=any(state.loaded for state in ready),
    )


def _sum(counts: Iterable[object]) -> dict[str, int] | None:
    """The sum of each figure; None if no replica has any."""
    known = cast("list[dict[str, int]]", [one for one in counts if one is not None])
    return {name: sum(one[name] for one in known) for name in known[0]} if known else None
