"""The load: wrk over loopback, on a core of its own."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from server import Server, pinned
from subjects import Subject
from wire import Wire

BODIES = 200
DISTURBING = 0.2  # cores that other programs use while something is measured
SCRIPT = Path(__file__).with_name("post.lua")


class Cell(NamedTuple):
    """A piece of work: rows in each request, from so many connections."""

    subject: str
    rows: int
    connections: int

    @classmethod
    def parse(cls, text: str) -> "Cell":
        """`iris:1x64`."""
        subject, _, work = text.partition(":")
        rows, _, connections = work.partition("x")
        return cls(subject, int(rows), int(connections))

    def __str__(self) -> str:
        return f"{self.subject}:{self.rows}x{self.connections}"


class Figures(NamedTuple):
    """What one run of wrk saw. CPU is in cores; `others` is what neither the server nor the load used."""

    requests_s: float
    rows_s: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu: dict[str, float]
    others: float
    steal: float

    @property
    def rows_core_s(self) -> float:
        """Rows for each second of processor time: what the server costs, also where others took some of its core."""
        used = sum(self.cpu.values())
        return self.rows_s / used if used else 0.0


class Cores(NamedTuple):
    """That of the server, with all its processes, and that of the load."""

    server: int
    load: int


def apart() -> Cores | None:
    """Where a server and its load are to run, and from now on this process beside the load; None, and said, where there
    is nothing to measure with."""
    cores = at_hand()
    if cores is None:
        return None
    os.sched_setaffinity(0, {cores[1]})
    return Cores(*cores[:2])


def at_hand() -> list[int] | None:
    """The cores that there are to measure with, two at least; None, and said, where there is too little."""
    cores = sorted(os.sched_getaffinity(0))
    if shutil.which("wrk") is None or len(cores) < 2:
        print("needs wrk (apt-get install wrk) and two cores", file=sys.stderr)
        return None
    return cores


def bodies(subject: Subject, rows: int, wire: Wire, folder: Path) -> Path:
    """A file of distinct bodies, one a line: the same rows for every server."""
    path = folder / f"{subject.name}-{rows}-{wire.name}.bodies"
    if not path.exists():
        draw = random.Random(rows)
        picks = [draw.sample(subject.rows, rows) for _ in range(min(BODIES, len(subject.rows)))]
        documents = [json.dumps(wire.document(pick), separators=(",", ":")) for pick in picks]
        path.write_text("".join(f"{document}\n" for document in documents))
    return path


def drive(
    server: Server,
    cell: Cell,
    seconds: float,
    folder: Path,
    core: int | None,
    script: Path = SCRIPT,
    said: Mapping[str, str] | None = None,
) -> Figures:
    """Closed loop with keep-alive: each connection sends its next request when the last is answered. `said` is for the
    script."""
    before, machine = server.cpu(), machine_seconds()
    own = sum(os.times()[:4])
    seen = wrk(server, cell, seconds, folder, core, script, said or {})
    used = {pid: now - before.get(pid, 0.0) for pid, now in server.cpu().items()}
    busy, stolen = (now - then for now, then in zip(machine_seconds(), machine, strict=True))
    own = sum(os.times()[:4]) - own
    names = server.processes()
    elapsed = seen["seconds"]
    return Figures(
        requests_s=seen["requests"] / elapsed,
        rows_s=seen["requests"] * cell.rows / elapsed,
        p50_ms=seen["p50_ms"],
        p99_ms=seen["p99_ms"],
        errors=int(seen["errors"]),
        cpu={f"{names.get(pid, '?')} [{pid}]": s / elapsed for pid, s in used.items()},
        others=max(0.0, busy - own - sum(used.values())) / elapsed,
        steal=stolen / elapsed,
    )


def wrk(
    server: Server, cell: Cell, seconds: float, folder: Path, core: int | None, script: Path, said: Mapping[str, str]
) -> dict[str, float]:
    wire = server.target.wire
    url = f"http://127.0.0.1:{server.port}{wire.path(cell.rows)}"
    load = ["wrk", "--threads", "1", "--connections", str(cell.connections), "--duration", f"{max(1, round(seconds))}s"]
    done = subprocess.run(
        [*pinned(core), *load, "--timeout", "20s", "--script", str(script), url],
        env=os.environ | dict(said) | {"BODIES": str(bodies(server.subject, cell.rows, wire, folder))},
        capture_output=True,
        text=True,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def calm(idle: float, limit_s: float) -> None:
    """Waits until the whole machine uses no more than `idle` cores for a second, but not for longer than `limit_s`."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        before, _ = machine_seconds()
        time.sleep(1)
        if machine_seconds()[0] - before <= idle:
            return


def machine_seconds(core: int | None = None) -> tuple[float, float]:
    """Processor time that the whole machine, or one core, has spent working, and that was stolen from it."""
    lines = map(str.split, Path("/proc/stat").read_text().splitlines())
    times = next(times for name, *times in lines if name == ("cpu" if core is None else f"cpu{core}"))
    user, nice, system, _, _, irq, softirq, steal, *_ = map(int, times)
    ticks = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / ticks, steal / ticks
