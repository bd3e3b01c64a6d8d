"""The CPUs of this process, with control groups as container engines lay them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatglm_server.decoding.backends.cpus import usable_cpus

HERE = usable_cpus(Path("/nowhere"))
V2 = "31 23 0:28 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1 = "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "34 32 0:31 / /sys/fs/cgroup/memory rw,relatime shared:10 - cgroup cgroup rw,memory"
V1_PART = "33 32 0:30 /docker/ab /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu"


@pytest.fixture(autouse=True)
def many_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of eight, whatever this one has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)


def make(root: Path, cgroup: str, mounts: list[str], files: dict[str, str]) -> Path:
    for name, text in {
        "proc/self/cgroup": cgroup,
        "proc/self/mountinfo": "\n".join(mounts),
        **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def test_without_control_groups(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no CPU affinity")
def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5})
    assert usable_cpus(tmp_path) == 2


@pytest.mark.parametrize(
    ("limit", "cpus"),
    [
        ("max 100000", 8),
        ("300000 100000", 3),
        ("150000 100000", 2),
        ("5000 100000", 1),
        ("9000000 100000", 8),
        ("", 8),
        ("nonsense", 8),
        ("100000 0", 8),
        ("0 100000", 8),
    ],
)
def test_version_2(tmp_path: Path, limit: str, cpus: int) -> None:
    files = {"app/cpu.max": limit, "other/cpu.max": "100000 100000"}
    assert usable_cpus(make(tmp_path, "0::/app", [V2], files)) == cpus


@pytest.mark.parametrize("limits", [("200000", "max"), ("max", "200000"), ("500000", "200000"), ("200000", "500000")])
def test_a_group_around_limits_too(tmp_path: Path, limits: tuple[str, str]) -> None:
    files = {"pod/cpu.max": f"{limits[0]} 100000", "pod/box/cpu.max": f"{limits[1]} 100000"}
    assert usable_cpus(make(tmp_path, "0::/pod/box", [V2], files)) == 2


def test_version_2_in_a_container(tmp_path: Path) -> None:
    """Its own group is the root of what it sees."""
    assert usable_cpus(make(tmp_path, "0::/", [V2], {"cpu.max": "400000 100000"})) == 4
    assert usable_cpus(make(tmp_path, "0::/../other", [V2], {"cpu.max": "400000 100000"})) == 4


@pytest.mark.parametrize(("quota", "cpus"), [("250000", 3), ("-1", 8)])
def test_version_1(tmp_path: Path, quota: str, cpus: int) -> None:
    files = {
        "cpu,cpuacct/app/cpu.cfs_quota_us": quota,
        "cpu,cpuacct/app/cpu.cfs_period_us": "100000",
        "memory/app/cpu.cfs_quota_us": "100000",  # not this hierarchy's to say
        "memory/app/cpu.cfs_period_us": "100000",
    }
    own = "5:memory:/app\n4:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/"
    assert usable_cpus(make(tmp_path, own, [V1_MEMORY, V1], files)) == cpus


def test_version_1_in_a_container(tmp_path: Path) -> None:
    """The group's path is the one outside, and the mount shows the group as its root."""
    files = {"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}
    assert usable_cpus(make(tmp_path, "4:cpu:/docker/ab", [V1_PART], files)) == 2
    files = {"cpu/sub/cpu.cfs_quota_us": "100000", "cpu/sub/cpu.cfs_period_us": "100000"}
    assert usable_cpus(make(tmp_path, "4:cpu:/docker/ab/sub", [V1_PART], files)) == 1


@pytest.mark.parametrize("text", ["", ":", "::", "0::", "\0", "cpu", "0::relative/../..", "4:cpu:/docker/ab/../.."])
def test_what_no_kernel_writes(tmp_path: Path, text: str) -> None:
    mounts = [V2, V1_PART, " - ", "a b c - cgroup2", "1 2 3 / - cgroup2 x y", text]
    assert usable_cpus(make(tmp_path, text, mounts, {})) == 8


def test_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= usable_cpus() <= HERE
