"""A service that lives as long as it is measured, on a free port of the loopback."""

import http.client
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from penstock.errors import FailedStart

STOP_S = 10.0
PROGRAM = """
import sys
from penstock.model.leash import die_with_parent
die_with_parent()
from penstock.cli import main
sys.exit(main(sys.argv[1:]))
"""  # `penstock`, that outlives nobody who measures it
OURS = ("--host", "127.0.0.1", "--port", "0", "--tls-cert=", "--tls-key=", "--log-format", "json")


@contextmanager
def service(words: Sequence[str], within: float) -> Iterator[int]:
    """`penstock serve` with those words, ready; yields its port. Raises FailedStart, with what it said last."""
    with tempfile.TemporaryDirectory(prefix="penstock-profile-") as folder:
        log = Path(folder, "log")
        command = [sys.executable, "-P", "-c", PROGRAM, "serve", *words, *OURS, "--log-file", str(log)]
        with Path(folder, "words").open("w+") as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
            try:
                yield _ready(process, log, said.name, time.monotonic() + within)
            finally:
                _stop(process)


def get(port: int, path: str) -> tuple[int, str]:
    """The status and the body of an answer to a GET. Raises OSError."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def _ready(process: subprocess.Popen[bytes], log: Path, said: str, until: float) -> int:
    port = None
    while time.monotonic() < until and process.poll() is None:
        port = port or _port(log)
        with suppress(OSError):  # it listens, and nobody is there to accept yet
            if port and get(port, "/ready")[0] == http.client.OK:
                return port
        time.sleep(0.02)
    last = Path(said).read_text(errors="replace").strip().splitlines()[-1:] or ["it did not get ready in time"]
    raise FailedStart(f"the service to be measured did not start: {last[0].removeprefix('penstock: ')}")


def _port(log: Path) -> int | None:
    """The port in the line that tells of it, once that is written."""
    for line in log.read_text().splitlines(keepends=True) if log.exists() else ():
        if '"listening"' in line and line.endswith("\n"):
            return int(json.loads(line)["url"].rstrip("/").rsplit(":", 1)[1])
    return None


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)  # as Ctrl-C: nobody is there to notice a drain
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
