"""A supervisor in a process of its own, with the children of children.py, and what a test asks of it."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from penstock.config import Drain, Logs, Model, Server, Settings
from penstock.errors import PenstockError
from penstock.model.control import Artifact
from penstock.model.source import ModelSource
from penstock.observability.logs import open_log
from penstock.supervisor.backoff import Backoff
from penstock.supervisor.equipment import Equipment
from penstock.supervisor.ledger import Ledger
from penstock.supervisor.listeners import open_listeners
from penstock.supervisor.loop import Loop
from penstock.supervisor.service import Service
from tests.supervisor import children

SOON_S = 10.0
SILENT_S = 3.0
SHORT_S = 1.5  # of silence, for the tests that wait for it: fronts report five times a second

Command = tuple[Settings, list[ModelSource], bool, tuple[str, ...], float]


def source(path: Path, words: str, **settings: Any) -> ModelSource:
    """A model whose loading does what `words` say; see `children.DEEDS`."""
    path.write_text(words)
    return ModelSource(
        name=path.stem,
        version="1",
        path=str(path),
        artifact=Artifact(
            path=str(path), format="pickle", root=str(path.parent), trusted=True, memory=settings.get("memory")
        ),
        settings=Model(path=str(path), **settings),
        operator_named=True,
    )


class Running:
    """A service over `sources`; its log is the file `log`, and what it says last on standard error is `complaint`."""

    def __init__(
        self,
        folder: Path,
        *sources: ModelSource,
        strict: bool = False,
        workers: int = 1,
        front: tuple[str, ...] = children.FRONT,
        terminal: int | None = None,
        linger_s: float = 0.1,
        silent_s: float = SILENT_S,
    ) -> None:
        self.log = folder / "service.log"
        settings = Settings(
            server=Server(port=0, workers=workers),
            drain=Drain(linger_s=linger_s, finish_s=1.0),
            logs=Logs(format="json", file=str(self.log)),
        )
        command = msgspec.json.encode((settings, sources, strict, front, silent_s)).decode()
        found_in = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": found_in, "SULKING": str(folder)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.supervisor.driver", command],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=terminal is not None,
            preexec_fn=None if terminal is None else lambda: _sit_at(terminal),  # noqa: PLW1509 # no thread runs
        )

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.communicate()

    def events(self, name: str) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [event for event in map(json.loads, lines) if event["event"] == name]

    def event(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`th event of that name, as soon as it is logged."""
        eventually(lambda: len(self.events(name)) >= count)
        return self.events(name)[count - 1]

    def ask(self, question: str) -> Any:
        """What the front that takes the connection answers; see `children.ANSWERS`."""
        host, port = self.event("listening")["url"].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=SOON_S) as connection:
            connection.sendall(f"{question}\n".encode())
            return json.loads(b"".join(iter(lambda: connection.recv(65536), b"")))

    def state(self, model: int = 0) -> dict[str, Any]:
        version: dict[str, Any] = self.ask("models")[model]["versions"][0]
        return version

    def children(self, of: str = "") -> list[int]:
        """The ids of the processes that it has started, or of those of one kind: "front" or "host"."""
        started = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sorted(int(pid) for pid in started if not of or of in arguments(pid))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status after that signal."""
        self.process.send_signal(number)
        return self.process.wait(SOON_S)

    def complaint(self) -> str:
        """Its last words, once it has ended by itself."""
        _, said = self.process.communicate(timeout=SOON_S)
        return said.strip()


def _sit_at(terminal: int) -> None:
    """As a program that a shell starts: with a terminal, and heedful of SIGHUP, whatever these tests are run under."""
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def eventually(holds: Callable[[], object]) -> None:
    """Waits until `holds` gives something true. Raises AssertionError when that takes too long."""
    until = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.01)


def arguments(pid: str) -> list[str]:
    """The words that the process was started with; none if it has ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def alive(pid: int) -> bool:
    """Whether the process runs; one that has ended and is not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def main(command: str) -> int:
    settings, sources, strict, front, silent_s = msgspec.json.decode(command, type=Command)
    log = open_log(settings.logs, "supervisor")
    with Loop() as loop:
        equipment = Equipment(
            loop,
            log,
            Ledger(log),
            front=front,
            host=children.HOST,
            front_backoff=lambda: Backoff(first=0.05, reset=0.5),
            host_backoff=lambda: Backoff(first=0.05, most=0.2),
            silent_s=silent_s,
        )
        service = Service(equipment, settings, sources, open_listeners(settings.server), strict=strict)
        try:
            return service.run()
        except PenstockError as problem:
            print(problem, file=sys.stderr)
            return 1
        finally:
            service.end()
            log.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
