"""One service with two versions of a model, of which the second can be made the shadow of the first and released."""

import http.client
import json
import os
import re
import secrets
import shutil
import subprocess
import time
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from server import PATIENCE_S, Server
from subjects import Subject
from targets import PENSTOCK, Target, serve

DEFAULT, SHADOW = "1", "2"
KEY = secrets.token_hex()
COMPARED = re.compile(r'^penstock_compared_rows_total\{.*?result="(\w+)".*?\} (\S+)$', re.MULTILINE)


class Places(NamedTuple):
    """The cores of the shadow's host, alone, of all other processes of the service, and of the load."""

    shadow: int
    server: int
    load: int

    @classmethod
    def of(cls, cores: list[int]) -> "Places":
        """Where there are but two, the load shares that of the service."""
        server, shadow, *others = cores
        return cls(shadow, server, others[0] if others else server)

    @property
    def shared(self) -> bool:
        return self.load == self.server


class Shadowed(Server):
    """Use as a context manager: inside, both versions are loaded and in their places, the second asked nothing."""

    def __init__(self, subject: Subject, folder: Path, places: Places) -> None:
        self._places = places
        publish(subject, folder)
        super().__init__(Target("shadowed", command), subject, folder, places.server)

    def switch(self, percent: int) -> None:
        """Copies of so many of a hundred requests go to the shadow, on every front, from now on."""
        wish = {"shadow": {"version": SHADOW, "percent": percent}}
        self._told("POST", f"/admin/models/{self.subject.name}/route", wish)

    def place(self) -> None:
        """Puts each process where it belongs: all start on the same core, and a host may have been replaced since."""
        apart = self._hosts_of_shadow()
        if not apart:
            raise RuntimeError("the shadow has no process")
        for pid in self.processes():
            keep(pid, self._places.shadow if pid in apart else self._places.server)

    def compared(self) -> Counter[str]:
        """Rows that have been copied to the shadow so far, by what came of it."""
        rows: Counter[str] = Counter()
        for result, count in COMPARED.findall(self._told("GET", "/metrics").decode()):
            rows[result] += round(float(count))
        return rows

    def _wait(self) -> None:
        super()._wait()
        end = time.monotonic() + PATIENCE_S
        while not self._hosts_of_shadow():
            if time.monotonic() > end:
                raise RuntimeError("the shadow was not loaded")
            time.sleep(0.05)
        self.place()

    def _hosts_of_shadow(self) -> list[int]:
        versions: list[dict[str, Any]] = json.loads(self._told("GET", f"/models/{self.subject.name}"))["versions"]
        return [pid for version in versions if version["version"] == SHADOW for pid in version["pids"]]

    def _told(self, method: str, path: str, wish: object = None) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            headers = {"Content-Type": "application/json"} | ({} if method == "GET" else {"X-API-Key": KEY})
            connection.request(method, path, None if wish is None else json.dumps(wish), headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise RuntimeError(f"{method} {path}: {response.status} {answer.decode()}")
        return answer


def publish(subject: Subject, folder: Path) -> None:
    """The same artifact as two versions: so they answer alike, and what is measured is what the copies cost."""
    for version in (DEFAULT, SHADOW):
        (folder / subject.name / version).mkdir(parents=True)
        shutil.copy(subject.pickle, folder / subject.name / version / "model.pkl")
    keys = f"bench: {{sha256: {sha256(KEY.encode()).hexdigest()}, rights: [admin]}}\n"
    (folder / "penstock.keys").write_text(f"{keys}anonymous: {{rights: [predict, read]}}\n")
    subprocess.run([PENSTOCK, "lock", subject.name], cwd=folder, capture_output=True, check=True)


def command(subject: Subject, port: int, log: Path) -> list[str]:
    route = ["--route-default", DEFAULT, "--route-shadow-version", SHADOW, "--route-shadow-percent", "0"]
    return [*serve(port, log), subject.name, "--workers", "1", "--load", "all", *route, "--keys", "penstock.keys"]


def keep(pid: int, core: int) -> None:
    """Has all threads of a process on one core; one that starts another meanwhile is met in the next turn."""
    while astray := [thread for thread in threads(pid) if os.sched_getaffinity(thread) != {core}]:
        for thread in astray:
            with suppress(ProcessLookupError):
                os.sched_setaffinity(thread, {core})


def threads(pid: int) -> list[int]:
    return [int(task.name) for task in Path(f"/proc/{pid}/task").iterdir()]
