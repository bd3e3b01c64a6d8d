"""Fixtures: two replicas in a Ray of their own, which takes half a minute to start."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from chatglm_bin_writer import DType

from tests.cluster.running_cluster import RunningCluster
from tests.random_models import write_random_model


@pytest.fixture(scope="module")
def cluster() -> Iterator[RunningCluster]:
    """Two replicas of the demo model."""
    with RunningCluster(replicas=2, threads=1, kv_disk_mb=0) as running:
        yield running


@pytest.fixture(scope="module")
def endless_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCluster]:
    """Two replicas of a model that always writes the same token, so that its answers do not end of themselves."""
    path = tmp_path_factory.mktemp("model") / "endless.bin"
    write_random_model(path, dtype=DType.F16, hidden=512, layers=3, max_length=32768, logits={300: 5.0})
    with RunningCluster(model=str(path), replicas=2, threads=1, kv_disk_mb=0) as running:
        yield running
