"""The clock on the wall jumps, by hours, in both directions: stamps follow it, and nothing else does."""

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.behaving import SLEEP
from tests.acceptance.driver import Reply, Service, serving, wait_until

HEADER_S = 0.5
ANSWER = 0


class WallClock:
    """The time that processes started with `environment` take from the system; monotonic clocks are not touched."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.jump(0)
        ask = ["faketime", "-f", "+0", "printenv", "LD_PRELOAD"]
        library = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
        self.environment = {
            "LD_PRELOAD": library,
            "FAKETIME_TIMESTAMP_FILE": str(path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def jump(self, hours: int) -> None:
        """To so many hours from now."""
        new = self._path.with_suffix(".new")
        new.write_text(f"{hours:+d}h")
        new.rename(self._path)


def is_off(service: Service, hours: int) -> bool:
    """Whether the service believes to be so many hours ahead."""
    return is_ahead(service.get("/health").body["timestamp"], hours)


def has_new_front(service: Service, hours: int) -> bool:
    """Whether a front got ready when the clock was so many hours ahead."""
    return any(is_ahead(line["timestamp"], hours) for line in service.lines("front_ready"))


def is_ahead(stamp: str, hours: int) -> bool:
    return abs((datetime.fromisoformat(stamp) - datetime.now(UTC)) / timedelta(hours=1) - hours) < 0.1


@pytest.mark.needs("faketime")
def test_only_stamps_follow_a_clock_that_jumps(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, _ = behaving()
    clock = WallClock(tmp_path / "clock")
    options = ["--workers", "2", "--drain-linger-s", "0.2", "--limits-header-s", str(HEADER_S)]
    with serving(*arguments, *options, env=clock.environment, cwd=tmp_path) as service:
        for hours in (6, -6):
            service.process.send_signal(signal.SIGHUP)  # new fronts start while it jumps
            with Under(service) as under_way:
                clock.jump(hours)
                wait_until(partial(is_off, service, hours), "a jump", service.explain)
            under_way.check()
            began = time.monotonic()
            late = service.request("POST", "/predict", {"features": [SLEEP, 1]}, {"x-request-timeout-ms": "200"})
            assert late.status == 504
            assert 0.2 <= time.monotonic() - began < 5, "its own deadline"
            assert 0 < service.predict(ANSWER, 1).body["latency_ms"] < 5_000
            wait_until(partial(has_new_front, service, hours), "a new front", service.explain)
        assert service.lines("front_died") == service.lines("host_died") == []
        began = time.monotonic()
        assert service.end() == 0
        assert time.monotonic() - began < 15


class Under:
    """What is under way when the clock jumps: a prediction, and a client that never ends its headers."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._replies: list[Reply] = []

    def __enter__(self) -> "Under":
        self._began = time.monotonic()
        self._silent = socket.create_connection(("127.0.0.1", self._service.port), timeout=30)
        self._silent.sendall(b"GET /health HTTP/1.1\r\n")
        self._thread = Thread(target=lambda: self._replies.append(self._service.predict(SLEEP, 7)))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._silent:
            self._refusal = self._silent.recv(4096)
            self._refused_s = time.monotonic() - self._began
        self._thread.join(30)

    def check(self) -> None:
        """Each took as long as it takes."""
        (reply,) = self._replies
        assert (reply.status, reply.body["prediction"]) == (200, 7)
        assert 500 <= reply.body["latency_ms"] < 5_000
        assert self._refusal.startswith(b"HTTP/1.1 408 ")
        assert HEADER_S <= self._refused_s < HEADER_S + 5
