"""What stands outside of all load: /health and /metrics, asked as a balancer and Prometheus would.

    python benchmarks/probing.py PORT

asks until its standard input ends, and then prints what it got. It is a process of its own, so that what it measures is
the server and not how busy the load is.
"""

import http.client
import json
import re
import subprocess
import sys
import time
from collections import Counter
from threading import Event, Thread
from types import TracebackType
from typing import NamedTuple, Self

PATHS = ("/health", "/metrics")
EVERY_S = 0.2
PATIENCE_S = 10.0
COUNTED = re.compile(r'^penstock_requests_total\{.*?route="(.*?)".*?status="(\d+)".*?\} (\S+)$', re.MULTILINE)
ROUTES = {"/predict", "unmatched"}  # what is refused before its path is looked at is counted under the second


class Probe(NamedTuple):
    """One question: its status, 0 where there was no answer, and the seconds from when it was due."""

    status: int
    seconds: float


class Prober:
    """Asks each of PATHS every EVERY_S, on a connection of its own. Use as a context manager; `probes` come last."""

    def __init__(self, port: int) -> None:
        self.probes: dict[str, list[Probe]] = {}
        self._command = [sys.executable, __file__, str(port)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        printed, _ = self._process.communicate()
        self.probes = {path: [Probe(*probe) for probe in probes] for path, probes in json.loads(printed).items()}


def counted(port: int) -> Counter[int]:
    """How many predictions the server says it has answered, by status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    connection.close()
    seen: Counter[int] = Counter()
    for route, status, count in COUNTED.findall(text):
        if route in ROUTES:
            seen[int(status)] += round(float(count))
    return seen


def main(port: int) -> None:
    over = Event()
    probes: dict[str, list[Probe]] = {path: [] for path in PATHS}
    threads = [Thread(target=ask, args=(port, path, over, probes[path])) for path in PATHS]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    print(json.dumps(probes))


def ask(port: int, path: str, over: Event, probes: list[Probe]) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    due = time.perf_counter()
    while not over.wait(max(0.0, due - time.perf_counter())):
        probes.append(Probe(status_of(connection, path), time.perf_counter() - due))
        due += EVERY_S
    connection.close()


def status_of(connection: http.client.HTTPConnection, path: str) -> int:
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return 0
    return response.status


if __name__ == "__main__":
    main(int(sys.argv[1]))
