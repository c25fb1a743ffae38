"""What the processes of the service use, as Linux tells it (proc(5))."""

import os
from collections.abc import Mapping
from pathlib import Path

from penstock.observability import catalog
from penstock.observability.metrics import Figures

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessMeter:
    """Measures processes by name; those that are gone are told no more."""

    def __init__(self, figures: Figures) -> None:
        self._cpu = figures.counter(catalog.CPU)
        self._memory = figures.gauge(catalog.MEMORY)
        self._started = figures.gauge(catalog.STARTED)
        self._boot = _boot_time()

    def measure(self, processes: Mapping[str, int]) -> None:
        """Measures these processes: their ids by name, such as "supervisor", "front-0"."""
        for family in (self._cpu, self._memory, self._started):
            family.clear()
        for name, pid in processes.items():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except OSError:  # it has just ended
                continue
            fields = stat.rpartition(")")[2].split()  # the name before may hold anything
            self._cpu.child(name).value = (int(fields[11]) + int(fields[12])) / TICKS
            self._started.child(name).value = self._boot + int(fields[19]) / TICKS
            self._memory.child(name).value = int(fields[21]) * PAGE


def _boot_time() -> int:
    lines = Path("/proc/stat").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("btime "))
