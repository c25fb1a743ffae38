"""What the processes of a service hold: memory, descriptors, threads; and what has grown between two looks."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.driver import Service, children_of, command_of

QUIET_S = 0.3
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE_S = 30.0


class Holding(NamedTuple):
    """Of one process. `kib` is its resident memory."""

    kib: int
    descriptors: int
    threads: int


Census = dict[str, Holding]  # by what each process is and its pid


def census(service: Service) -> Census:
    """Looks once nothing is going on any more: connections of clients that left are closed, the log is written."""
    until = time.monotonic() + PATIENCE_S
    before = None
    while before != (now := _activity(service)) and time.monotonic() < until:
        before = now
        time.sleep(QUIET_S)
    return {f"{_name(pid)} {pid}": _holding(pid) for pid in _processes(service)}


def growth(before: Census, after: Census, bound: float) -> Iterator[str]:
    """A sentence for all that is more than before; memory may grow by `bound`, a fraction."""
    if before.keys() != after.keys():
        yield f"the processes were {', '.join(before)} and are {', '.join(after)}"
        return
    for name, then in before.items():
        now = after[name]
        if now.kib > then.kib * (1 + bound):
            yield f"{name} grew from {then.kib} to {now.kib} KiB, by {100 * (now.kib / then.kib - 1):.2f} %"
        if now[1:] != then[1:]:
            yield f"{name} held {then[1]} descriptors and {then[2]} threads, and holds {now[1]} and {now[2]}"
    sums = [sum(holding.kib for holding in looked.values()) for looked in (before, after)]
    if sums[1] > sums[0] * (1 + bound):
        yield f"together they grew from {sums[0]} to {sums[1]} KiB, by {100 * (sums[1] / sums[0] - 1):.2f} %"


def table(*looks: tuple[int, Census]) -> str:
    """Each process's memory, descriptors and threads after so many requests."""
    names = looks[0][1]
    lines = [f"{'requests':>28} " + " ".join(f"{requests:>22,}" for requests, _ in looks)]
    for name in names:
        cells = (look.get(name) for _, look in looks)
        lines.append(f"{name:>28} " + " ".join(f"{c.kib:>9} KiB {c[1]:>4} {c[2]:>3}" if c else "gone" for c in cells))
    return "\n".join(lines)


def _processes(service: Service) -> list[int]:
    return [service.process.pid, *sorted(children_of(service.process.pid))]


def _name(pid: int) -> str:
    found = re.search(r"-m penstock\.(\w+)", command_of(pid))
    return found[1] if found else "supervisor"


def _holding(pid: int) -> Holding:
    process = Path(f"/proc/{pid}")
    rolled = (process / "smaps_rollup").read_text()
    kib = int(re.findall(r"^Rss:\s+(\d+)", rolled, re.MULTILINE)[0])  # exact, which statm and status are not
    return Holding(kib, len(os.listdir(process / "fd")), len(os.listdir(process / "task")))


def _activity(service: Service) -> tuple[int, ...]:
    """What changes as long as somebody works: descriptors, and tenths of a second of processor time."""
    seen = []
    for pid in _processes(service):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seen += [len(os.listdir(f"/proc/{pid}/fd")), (int(fields[11]) + int(fields[12])) * 10 // TICKS]
    return tuple(seen)
