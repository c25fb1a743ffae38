"""A log that nobody takes, a pipe without a reader or a full disk: no request notices, each lost line is counted."""

import asyncio
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from tests.acceptance.driver import SERVE, Service, children_of, serving, wait_until
from tests.soak.client import connect, request
from tests.soak.models import wide

ASKED = request("/predict", {"features": [1, 2, 3, 4]})
SLICE = 500
FULL = 6  # slices in which 8 MiB of lines, as much as a front holds, come together, and more
SMALL = 4 * 2**20
Place = tuple[Path, tuple[str, ...], Callable[[Service], object]]
"""A folder for the log, the prefix of the command, and what makes room."""


def latencies(port: int) -> list[float]:
    """Of a slice of requests over 16 connections, sorted. All must be answered with 200."""

    async def client(taken: list[float], turns: Iterator[int]) -> None:
        connection = await connect(port)
        for _ in turns:
            began = time.perf_counter()
            answer = await connection.ask(ASKED)
            taken.append(time.perf_counter() - began)
            assert answer.status == 200, answer
        connection.close()

    async def clients() -> list[float]:
        taken: list[float] = []
        turns = iter(range(SLICE))
        await asyncio.gather(*(client(taken, turns) for _ in range(16)))
        return sorted(taken)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(clients())


def best_p99(port: int, slices: int) -> float:
    """The least p99 of so many slices, in seconds: others on this machine disturb some of them, a stall would all."""
    return min(latencies(port)[int(0.99 * SLICE)] for _ in range(slices))


def dropped(service: Service) -> int:
    """The lines that the front has counted as dropped."""
    lines = service.get("/metrics").body.decode().splitlines()
    (count,) = (line.split()[-1] for line in lines if line.startswith('penstock_log_lines_dropped_total{process="fr'))
    return int(float(count))


def stand(service: Service, flowing: float) -> None:
    """Asks for longer than it takes until lines are dropped; nobody may notice."""
    standing = best_p99(service.port, FULL)
    print(f"p99 {flowing * 1e3:.2f} ms while the log flows, {standing * 1e3:.2f} ms while it stands")
    assert dropped(service) > 0
    assert standing < 2 * flowing


def check_log(lines: list[dict[str, Any]], asked: int, service: Service) -> None:
    """What was asked is there or was counted, and the log says so itself."""
    told = [line for line in lines if line["event"] == "log_lines_dropped" and line["process"] == "front-0"]
    written = sum(line["event"] == "prediction" for line in lines)
    assert told[-1]["total"] == sum(line["lines"] for line in told) == dropped(service)
    assert written + told[-1]["total"] == asked


@contextmanager
def small_disk(folder: Path) -> Iterator[Place]:
    """A file system of 4 MiB, which then becomes larger; where none may be mounted, files of at most 4 MiB."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode:
        yield folder, ("prlimit", f"--fsize={SMALL}:"), lift_limit
        return
    try:
        larger = ["mount", "-o", "remount,size=256m", str(folder)]
        yield folder, (), lambda _: subprocess.run(larger, check=True)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def lift_limit(service: Service) -> None:
    for pid in children_of(service.process.pid):
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    model = wide(tmp_path / "wide.onnx")
    with (
        small_disk(tmp_path / "logs") as (folder, prefix, make_room),
        serving(model, cwd=folder, program=(*prefix, *SERVE)) as service,
    ):
        flowing = best_p99(service.port, 2)
        stand(service, flowing)
        make_room(service)
        wait_until(lambda: service.lines("log_lines_dropped") != [], "room", service.explain)
        latencies(service.port)
        asked = (2 + FULL + 1) * SLICE
        wait_until(lambda: len(service.lines("prediction")) + dropped(service) == asked, "all lines", service.explain)
        check_log(service.lines(), asked, service)


class Piped(Service):
    """A service whose log goes to a pipe, which is read while `reading` is set."""

    def __init__(self, model: Path, cwd: Path) -> None:
        self.trust = None
        self.errors, self.log = cwd / "service.err", cwd / "read.log"
        command = [sys.executable, "-m", "penstock", "serve", str(model), "--port", "0", "--drain-linger-s", "0"]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, cwd=cwd, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        self.reading = threading.Event()
        self.reading.set()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.port = int(self.wait_for("listening")["url"].rsplit(":", 1)[1])
        wait_until(lambda: self.get("/ready").status == 200, "ready", self.explain)

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as pipe, self.log.open("wb", buffering=0) as log:
            while self.reading.wait() and (data := os.read(pipe.fileno(), 65_536)):
                log.write(data)


def test_a_pipe_that_nobody_reads_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    service = Piped(wide(tmp_path / "wide.onnx"), tmp_path)
    try:
        flowing = best_p99(service.port, 4)
        service.reading.clear()
        stand(service, flowing)
        service.reading.set()
        asked = (4 + FULL) * SLICE
        told = service.wait_for("log_lines_dropped", lambda line: line["process"] == "front-0")
        assert told["level"] == "warning"
        wait_until(lambda: len(service.lines("prediction")) + dropped(service) == asked, "all lines", service.explain)
        check_log(service.lines(), asked, service)
        assert service.end() == 0
    finally:
        service.close()
