"""The processors that may be used are those of the tightest control group around the process."""

import os
from pathlib import Path

import pytest

from penstock.supervisor.cpus import quotas, usable_cpus

GROUPS = [
    # /proc/self/cgroup, files below /sys/fs/cgroup, the quotas found
    ("0::/\n", {"cpu.max": "200000 100000\n"}, [2.0]),
    ("0::/\n", {"cpu.max": "max 100000\n"}, []),
    ("0::/pod/app\n", {"pod/app/cpu.max": "max 100000\n", "pod/cpu.max": "150000 100000\n"}, [1.5]),
    ("0::/pod/app\n", {"pod/app/cpu.max": "50000 100000\n", "pod/cpu.max": "150000 100000\n"}, [0.5, 1.5]),
    ("4:cpu,cpuacct:/\n3:memory:/\n", {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, [3.0]),
    ("4:cpu:/docker/x\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, []),
    ("", {}, []),
]


@pytest.mark.parametrize(("own", "files", "found"), GROUPS)
def test_quotas_are_read_from_every_group_around(
    tmp_path: Path, own: str, files: dict[str, str], found: list[float]
) -> None:
    (tmp_path / "own").write_text(own)
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    assert list(quotas(tmp_path, tmp_path / "own")) == found


@pytest.mark.parametrize(("quota", "usable"), [("50000 100000", 1), ("100000 100000", 1), ("199000 100000", 1)])
def test_a_part_of_a_processor_counts_for_nothing_but_there_is_always_one(
    tmp_path: Path, quota: str, usable: int
) -> None:
    (tmp_path / "own").write_text("0::/\n")
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cpus(tmp_path, tmp_path / "own") == usable


def test_without_a_quota_the_scheduler_decides(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path, tmp_path / "none") == len(os.sched_getaffinity(0))
