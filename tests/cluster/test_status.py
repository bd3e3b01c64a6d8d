"""The state of several replicas as that of one server."""

from __future__ import annotations

import math

from chatglm_server.cluster.status import NO_REPLICA, summed
from chatglm_server.queueing.status import Status


def test_counts_are_sums_and_the_shortest_wait_counts() -> None:
    one = Status(
        True,
        {"running": 1, "waiting": 0, "max": 32},
        reading=[{"tokens": 9, "cached": 0, "read": 4, "seconds": 1.0}],
        tokens={"read": 10, "generated": 5},
        kv_cache={"tokens": 7, "most": 100},
        wait_s=3.0,
    )
    other = Status(
        True,
        {"running": 2, "waiting": 3, "max": 32},
        problem="the backend is gone",
        drafts={"drafted": 4, "accepted": 1},
        tokens={"read": 1, "generated": 2},
        kv_cache={"tokens": 1, "most": 100},
        kv_disk={"read": 1, "written": 2, "bytes": 3, "most_bytes": 4},
        wait_s=0.5,
        unloads_in_s=5,
        loaded=False,
    )
    assert summed([one, other]) == Status(
        True,
        {"running": 3, "waiting": 3, "max": 64},
        problem="the backend is gone",
        drafts={"drafted": 4, "accepted": 1},
        reading=[{"tokens": 9, "cached": 0, "read": 4, "seconds": 1.0}],
        tokens={"read": 11, "generated": 7},
        kv_cache={"tokens": 8, "most": 200},
        kv_disk={"read": 1, "written": 2, "bytes": 3, "most_bytes": 4},
        wait_s=0.5,
        unloads_in_s=math.inf,
    )


def test_replicas_that_are_not_ready_do_not_count() -> None:
    loading = Status(False, {"running": 0, "waiting": 0, "max": 32})
    ready = Status(True, {"running": 1, "waiting": 0, "max": 32})
    assert summed([loading, ready]) == summed([ready])
    assert summed([loading]) == summed([]) == NO_REPLICA
