"""Several fronts on one port: traffic is spread, figures are one, and a front may go at any time."""

import os
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.driver import Load, Service, alive, children_of, serving, wait_until

BODY = b'{"features": [5.1, 3.5, 1.4, 0.2]}'
REQUEST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
ASKED = REQUEST % (len(BODY), BODY)


@pytest.fixture
def service(iris_onnx: Path, tmp_path: Path) -> Iterator[Service]:
    with serving(iris_onnx, "--workers", "2", "--drain-linger-s", "1", cwd=tmp_path) as service:
        yield service


def requests_of(service: Service) -> int:
    """The answered predictions that `/metrics` has counted."""
    lines = service.get("/metrics").body.decode().splitlines()
    series = [line for line in lines if line.startswith("penstock_requests_total{") and 'route="/predict"' in line]
    return sum(int(float(line.split()[-1])) for line in series if 'status="200"' in line)


def test_connections_are_spread_and_any_front_tells_the_figures_of_all(service: Service) -> None:
    for _ in range(64):
        assert service.predict(5.1, 3.5, 1.4, 0.2).status == 200
    served = [line["process"] for line in wait_for_lines(service, 64)]
    assert min(served.count("front-0"), served.count("front-1")) >= 8
    for _ in range(8):  # connections of their own, so some to each front
        wait_until(lambda: requests_of(service) == 64, "all 64 in the figures")


def wait_for_lines(service: Service, count: int) -> list[dict[str, object]]:
    wait_until(lambda: len(service.lines("prediction")) >= count, f"{count} lines", service.explain)
    return service.lines("prediction")


def test_a_killed_front_is_back_within_a_second_and_strands_nobody(service: Service) -> None:
    wait_until(lambda: len(service.lines("front_ready")) == 2, "two fronts", service.explain)
    (victim, *_) = service.processes("front")
    os.kill(victim, signal.SIGKILL)
    waiting = [socket.create_connection(("127.0.0.1", service.port), timeout=30) for _ in range(100)]
    for connection in waiting:
        connection.sendall(ASKED)
    for connection in waiting:
        with connection:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200 ")
    died, back = service.wait_for("front_died"), wait_for_ready(service, 3)
    assert seconds(back["timestamp"]) - seconds(died["timestamp"]) < 10, "far more than the second that it takes"
    assert died["restart_in_s"] == 0


def wait_for_ready(service: Service, count: int) -> dict[str, str]:
    wait_until(lambda: len(service.lines("front_ready")) >= count, f"{count} fronts", service.explain)
    line: dict[str, str] = service.lines("front_ready")[count - 1]
    return line


def seconds(timestamp: str) -> float:
    hours, minutes, rest = timestamp.rstrip("Z").partition("T")[2].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def has_rolled(service: Service, times: int) -> bool:
    return len(service.lines("fronts_rolled")) == times


@pytest.mark.soak
def test_rolling_restarts_under_load_lose_nothing(
    service: Service, scale: Callable[[int, int], int], tmp_path: Path
) -> None:
    """Every client keeps its connection for as long as it is let: until an answer says `connection: close`."""
    rounds, requests = scale(1, 10), scale(500, 100_000)
    hosts = service.processes("host")
    with Load(service, clients=8) as load:
        for number in range(1, rounds + 1):
            load.wait_for(requests * (2 * number - 1) // (2 * rounds))
            service.process.send_signal(signal.SIGHUP)
            wait_until(partial(has_rolled, service, number), "rolled", service.explain)
        load.wait_for(requests)
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {200}
    assert len(service.lines("front_ready")) == 2 * (rounds + 1)
    assert service.lines("front_died") == []
    assert service.processes("host") == hosts, "models stay where they are"
    wait_until(lambda: requests_of(service) == len(load.answers), "what the old fronts counted", service.explain)


def test_an_idle_connection_outlives_a_rolling_restart_by_its_next_answer(iris_onnx: Path, tmp_path: Path) -> None:
    with (
        serving(iris_onnx, "--workers", "2", "--drain-linger-s", "0.2", cwd=tmp_path) as service,
        socket.create_connection(("127.0.0.1", service.port), timeout=30) as idle,
    ):
        idle.sendall(ASKED)
        assert b"connection: close" not in idle.recv(4096)
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("front_ready", lambda line: len(service.lines("front_ready")) >= 4)
        assert service.get("/ready").status == 200, "the service never stops being ready"
        service.wait_for("fronts_rolled")
        assert idle.recv(4096) == b"", "silent for the linger, it was closed"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process_at_once_is_handled_once(service: Service, number: signal.Signals) -> None:
    """Ctrl-C reaches a terminal's foreground group, a control group's kill every process in it."""
    with Load(service) as load:
        load.wait_for(100)
        everyone = [service.process.pid, *children_of(service.process.pid)]
        for pid in reversed(everyone):
            os.kill(pid, number)
        assert service.process.wait(20) == 0
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {200}
    assert not any(map(alive, everyone))
    assert len(service.lines("draining")) == 1
    assert service.lines("stopped")[0]["forced"] is False


def test_nothing_outlives_a_killed_supervisor(service: Service) -> None:
    everyone = children_of(service.process.pid)
    assert len(everyone) == 3
    service.process.kill()
    service.process.wait()
    wait_until(lambda: not any(map(alive, everyone)), "all ended")
    with socket.socket() as again:  # no copy of a listener is left anywhere; connections that are over do not count
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", service.port))
