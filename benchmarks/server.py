"""One server under measurement: started on its core, checked, watched and stopped."""

import http.client
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from subjects import Subject
from targets import Target

PATIENCE_S = 60
SETTLE_S = 10
QUIET_S = 0.2
TICKS = os.sysconf("SC_CLK_TCK")


class WrongAnswer(Exception):
    """The server answered something else than the model does."""


class Memory(NamedTuple):
    """Summed over processes, in MB. RSS counts a page in each process that maps it, PSS once in all."""

    rss: float
    pss: float
    processes: int


class Server:
    """Use as a context manager: inside, the server has given its first right answer, `started_s` after exec.

    All of it runs on `core`, or where the kernel likes.
    """

    def __init__(self, target: Target, subject: Subject, folder: Path, core: int | None) -> None:
        self.target, self.subject = target, subject
        self.port = free_port()
        log = folder / f"{target.name}.log"
        command = [*pinned(core), *target.command(subject, self.port, log)]
        self._output = (folder / f"{target.name}.out").open("w+b")
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            command,
            env=target.environment(subject, log),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )
        self.started_s = 0.0

    def __enter__(self) -> Self:
        try:
            self._wait()
            self._check()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGINT, as Ctrl-C: the server need not linger for a load balancer."""
        self._process.send_signal(2)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._output.close()

    # -------------------------------------------------------------- answers
    def _wait(self) -> None:
        while True:
            with suppress(OSError, http.client.HTTPException):
                status, _ = self.post("/predict", {"features": self.subject.rows[0]})
                if status == 200:
                    self.started_s = time.monotonic() - self._began
                    return
            if self._process.poll() is not None or time.monotonic() - self._began > PATIENCE_S:
                self._output.seek(0)
                raise RuntimeError(f"{self.target.name} did not start: {self._output.read().decode()[-2000:]}")
            time.sleep(0.01)

    def _check(self) -> None:
        """Rows alone, many at once, and as one batch: the model's own answers, each to the one who asked."""
        if self.target.ceiling:
            return
        for row in range(20):
            self._check_row(row)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self._check_row, range(200)))
        status, answer = self.post("/predict-batch", {"batch": self.subject.rows[:100]})
        if status != 200:
            raise WrongAnswer(f"status {status}: {answer}")
        for row, (label, confidence) in enumerate(zip(answer["predictions"], answer["confidences"], strict=True)):
            self._compare(row, label, confidence)

    def _check_row(self, row: int) -> None:
        status, answer = self.post("/predict", {"features": self.subject.rows[row]})
        if status != 200:
            raise WrongAnswer(f"status {status}: {answer}")
        self._compare(row, answer["prediction"], answer["confidence"])

    def _compare(self, row: int, label: int, confidence: float | None) -> None:
        if not self.subject.is_right(row, label, confidence):
            expected = self.subject.labels[row], self.subject.confidences[row]
            raise WrongAnswer(f"row {row}: {(label, confidence)} instead of {expected}")

    def post(self, path: str, body: object) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    # -------------------------------------------------------------- processes
    def processes(self) -> dict[int, str]:
        """Its process and all below it, each with the end of its command line."""
        found, queue = {}, [self._process.pid]
        while queue:
            pid = queue.pop()
            with suppress(OSError):
                found[pid] = " ".join(Path(f"/proc/{pid}/cmdline").read_text().split("\0")[1:4]).strip()
                for children in Path(f"/proc/{pid}/task").glob("*/children"):
                    queue += map(int, children.read_text().split())
        return found

    def memory(self, pids: Iterable[int] | None = None) -> Memory:
        """Of all its processes, or of these."""
        rolled = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids or self.processes()]
        sums = [
            sum(int(re.findall(rf"^{key}:\s+(\d+)", text, re.MULTILINE)[0]) for text in rolled)
            for key in ("Rss", "Pss")
        ]
        return Memory(sums[0] / 1024, sums[1] / 1024, len(rolled))

    def cpu(self) -> dict[int, float]:
        """Seconds of processor time that each process has used."""
        return {pid: cpu_seconds(pid) for pid in self.processes()}

    def settle(self) -> None:
        """Waits until it is idle: a server that was just under load may still answer clients that have gone."""
        limit = time.monotonic() + SETTLE_S
        before = sum(self.cpu().values())
        while time.monotonic() < limit:
            time.sleep(QUIET_S)
            now = sum(self.cpu().values())
            if now - before <= 1 / TICKS:
                return
            before = now


def pinned(core: int | None) -> list[str]:
    """What stands before a command that is to stay on `core`; None leaves it to the kernel."""
    return [] if core is None else ["taskset", "--cpu-list", str(core)]


def cpu_seconds(pid: int | str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
