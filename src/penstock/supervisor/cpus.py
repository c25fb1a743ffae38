"""How many processors this service may use: the scheduler's mask, and the quota of its control group.

`os.cpu_count()` counts the machine's, and a container with a quota of two on a machine of sixty-four would start
sixty-four threads for every matrix product.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cpus(root: Path = CGROUPS, own: Path = OWN_GROUPS) -> int:
    """Whole processors that can run at once; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    return max(1, math.floor(min([float(allowed), *quotas(root, own)])))


def quotas(root: Path, own: Path) -> Iterator[float]:
    """The quotas, in processors, of this process's control group and of those around it; versions 1 and 2."""
    for line in _text(own).splitlines():
        _, controllers, path = line.split(":", 2)
        mount = root / "cpu" if "cpu" in controllers.split(",") else root
        if controllers and mount == root:
            continue  # another controller of version 1
        group = Path(path.lstrip("/"))
        for folder in (group, *group.parents):
            yield from _quota(mount / folder)


def _quota(folder: Path) -> Iterator[float]:
    words = _text(folder / "cpu.max").split() or [
        _text(folder / "cpu.cfs_quota_us").strip(),
        _text(folder / "cpu.cfs_period_us").strip(),
    ]
    quota, period = words[:2] if len(words) > 1 else ("", "")
    if quota.isdigit() and period.isdigit() and int(period):
        yield int(quota) / int(period)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # no such file: no such limit
        return ""
