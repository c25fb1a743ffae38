"""The real `penstock serve`, as a person would start it, and ways to talk to it."""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

PATIENCE_S = 60.0
PENSTOCK = (sys.executable, "-m", "penstock")
SERVE = (*PENSTOCK, "serve")


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


class Service:
    """A running service on a free port of its own; its log lines go to `log`. `program` is what starts it.

    With `trust` it is spoken to over TLS.
    """

    def __init__(
        self,
        *arguments: str | Path,
        cwd: Path,
        ready: bool = True,
        env: dict[str, str] | None = None,
        program: Sequence[str] = SERVE,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self.trust = trust
        self.log = cwd / "service.log"
        self.log.unlink(missing_ok=True)
        self.errors = cwd / "service.err"
        command = [*program, *map(str, arguments), "--port", "0", "--log-file", str(self.log)]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command,
                cwd=cwd,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                env={**os.environ, **(env or {})},
            )
        try:
            self.port = int(self.wait_for("listening")["url"].rsplit(":", 1)[1].rstrip("/"))
            if ready:
                wait_until(lambda: self.get("/ready").status == 200, "ready", self.explain)
        except BaseException:
            self.close()
            raise

    # ---------------------------------------------------------------- talking
    def request(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, timeout: float = 30
    ) -> Reply:
        connection = connection_to(self.port, self.trust, timeout)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            given = {"content-type": "application/json"} if data is not None else {}
            connection.request(method, path, data, given | (headers or {}))
            answer = connection.getresponse()
            raw = answer.read()
            kind = answer.headers.get("content-type", "")
            content = json.loads(raw) if kind.startswith("application/json") and raw else raw
            return Reply(answer.status, {k.lower(): v for k, v in answer.headers.items()}, content)
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def predict(self, *features: Any, path: str = "/predict", **headers: str) -> Reply:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.request("POST", path, {"features": list(features)}, named)

    # ---------------------------------------------------------------- looking
    def lines(self, event: str | None = None) -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        mark = "" if event is None else f'"event":"{event}"'  # most lines of a busy service are others
        found = [json.loads(line) for line in whole if mark in line]
        return [line for line in found if event in (None, line["event"])]

    def wait_for(self, event: str, which: Callable[[dict[str, Any]], bool] = lambda line: True) -> dict[str, Any]:
        """The first log line of this kind, as soon as it is there."""

        def found() -> bool:
            ended = self.process.poll() is not None
            there = any(map(which, self.lines(event)))
            if ended and not there:
                raise AssertionError(f"the service ended with {self.process.returncode}\n{self.explain()}")
            return there

        wait_until(found, event, self.explain)
        return next(line for line in self.lines(event) if which(line))

    def explain(self) -> str:
        errors = self.errors.read_text(errors="replace")[-2000:]
        log = self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""
        return f"--- output\n{errors}\n--- log\n{log}"

    def processes(self, module: str) -> list[int]:
        """The pids of this service's own children that run `penstock.<module>`."""
        return [pid for pid in children_of(self.process.pid) if f"penstock.{module}" in command_of(pid)]

    # ---------------------------------------------------------------- ending
    def end(self, number: signal.Signals = signal.SIGTERM, timeout: float = 40) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def close(self) -> None:
        """Ends it by force, with all that it started."""
        ours = [self.process.pid, *children_of(self.process.pid)]
        for pid in ours:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


@contextlib.contextmanager
def serving(*arguments: str | Path, cwd: Path, **options: Any) -> Iterator[Service]:
    service = Service(*arguments, cwd=cwd, **options)
    try:
        yield service
    finally:
        service.close()


def penstock(*arguments: str | Path, cwd: Path, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    command = [sys.executable, "-m", "penstock", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False)


def wait_until(done: Callable[[], bool], what: str, explain: Callable[[], str] = str) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if done():
                return
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {PATIENCE_S:g} s\n{explain()}")


def connection_to(port: int, trust: ssl.SSLContext | None, timeout: float = 30) -> http.client.HTTPConnection:
    """A connection to this machine, which is made when it is first used; over TLS with `trust`."""
    if trust is None:
        return http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=trust)


def children_of(pid: int) -> list[int]:
    """All processes below `pid`."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    found: list[int] = []
    level = [pid]
    while level:
        level = [child for child, parent in parents.items() if parent in level]
        found += level
    return found


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
    except OSError:
        return False


class Target(Protocol):
    """Whom to ask: a service, or what stands in front of one."""

    port: int

    def explain(self) -> str: ...


class Load:
    """Clients that ask until told to stop, each on a connection of its own, or a `fresh` one each time.

    They ask without pause, or where a test is long begin no more often than every so many seconds each.

    A connection that the server closes after an answer (`connection: close`) is opened anew; everything else that goes
    wrong is a failure. `answers` are the statuses, `failures` what broke, and what `judge` has to say against answers.
    """

    def __init__(
        self,
        service: Target,
        clients: int = 8,
        features: Sequence[Any] = (5.1, 3.5, 1.4, 0.2),
        *,
        fresh: bool = False,
        every_s: float = 0.0,
        judge: Callable[[Any], str | None] | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> None:
        self._judge = judge
        self._trust = trust
        self._every_s = every_s
        self.answers: list[int] = []
        self.failures: list[str] = []
        self.refused = 0
        self._service = service
        self._body = json.dumps({"features": list(features)}).encode()
        self._headers = {"content-type": "application/json"} | ({"connection": "close"} if fresh else {})
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def wait_for(self, answers: int) -> None:
        wait_until(lambda: len(self.answers) >= answers, f"{answers} answers", self._service.explain)

    def _run(self) -> None:
        while not self._stop.is_set():
            connection = connection_to(self._service.port, self._trust)
            with contextlib.closing(connection):
                try:
                    connection.connect()
                except ConnectionRefusedError:  # nobody listens any more: nothing was admitted, nothing is lost
                    self.refused += 1
                    return
                used = 0
                while not self._stop.is_set() and self._ask(connection, used):
                    used += 1

    def _ask(self, connection: http.client.HTTPConnection, used: int) -> bool:
        """Asks once on a connection that was `used` so often; false where it is not to be used again."""
        began = time.monotonic()
        try:
            connection.request("POST", "/predict", self._body, self._headers)
            with connection.getresponse() as answer:
                body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.failures.append(f"{error!r} on a connection used {used} times, {time.monotonic() - began:.3f} s")
            return False
        self.answers.append(answer.status)
        if self._judge is not None and (complaint := self._judge(json.loads(body))) is not None:
            self.failures.append(complaint)
        self._stop.wait(max(0.0, began + self._every_s - time.monotonic()))
        return answer.headers.get("connection", "").lower() != "close"
