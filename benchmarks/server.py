"""One server under measurement: started on its core, checked, watched and stopped."""

import http.client
import json
import os
import re
import signal
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
from wire import Rows

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
            start_new_session=True,
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
        """SIGINT, as Ctrl-C: the server need not linger for a load balancer. Children left behind are killed."""
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._output.close()

    # -------------------------------------------------------------- answers
    def _wait(self) -> None:
        while True:
            with suppress(OSError, http.client.HTTPException):
                status, _ = self.ask(self.subject.rows[:1])
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
        there = len(self.subject.rows)
        for row in range(min(20, there)):
            self._check_rows(row, row + 1)
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda row: self._check_rows(row, row + 1), range(min(200, there))))
        self._check_rows(0, self.subject.most)

    def _check_rows(self, start: int, end: int) -> None:
        status, answer = self.ask(self.subject.rows[start:end])
        if status != 200:
            raise WrongAnswer(f"status {status}: {answer}")
        answered = self.target.wire.labelled(answer)
        expected = zip(self.subject.labels[start:end], self.subject.confidences[start:end], strict=True)
        for row, (found, due) in enumerate(zip(answered, expected, strict=True), start):
            if not self.subject.is_right(row, *found):
                raise WrongAnswer(f"row {row}: {found} instead of {due}")

    def ask(self, rows: Rows) -> tuple[int, Any]:
        """The status that it answers for these rows, and the document, or whatever else it says."""
        wire = self.target.wire
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            body = json.dumps(wire.document(rows))
            connection.request("POST", wire.path(len(rows)), body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if response.status == 200 else text
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
            if now - before <= 1 / TICKS + self.target.idle * QUIET_S:
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
