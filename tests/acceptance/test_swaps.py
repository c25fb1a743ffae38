"""Versions are exchanged under load: nobody is refused, and nobody answered by another version than it says."""

import json
import os
import signal
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Load, Service, alive, children_of, serving, wait_until
from tests.acceptance.numbered import constant, publish
from tests.host.test_mutations import mutations

BODY = b'{"features": [0.0]}'
HEAD = b"POST /predict HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(
    BODY
)


def is_honest(answer: Any) -> str | None:
    """What is wrong with an answer: each version predicts its own number."""
    same = answer.get("prediction") == float(answer.get("model_version", "nan"))
    return None if same else f"answered {answer}"


def is_honest_to_the_end(answer: Any) -> str | None:
    """As `is_honest`, of a service that is killed: a front may outlive the model by a moment."""
    return None if answer.get("code") in ("host_lost", "not_ready") else is_honest(answer)


def configure(folder: Path, settings: str) -> Path:
    file = folder / "penstock.yaml"
    staging = folder / ".penstock.yaml"
    staging.write_text(f"models: {{m: {{path: m, {settings}}}}}\n")
    staging.rename(file)
    return file


def serves(service: Service, version: str) -> bool:
    return bool(service.predict(0.0).body["model_version"] == version)


def states(service: Service) -> dict[str, str]:
    return {version["version"]: version["state"] for version in service.get("/models/m").body["versions"]}


@pytest.mark.soak
def test_reloads_promotions_and_rollbacks_under_load_lose_nothing(
    tmp_path: Path, scale: Callable[[int, int], int]
) -> None:
    """Each round a new version comes and takes the traffic, is taken back, and promoted again."""
    rounds, requests = scale(1, 20), scale(0, 100_000)
    publish(tmp_path / "m", "1")
    with serving(configure(tmp_path, "load: {latest: 2}"), "--workers", "2", cwd=tmp_path) as service:
        with Load(service, features=[0.0], every_s=scale(20, 0) / 1000, judge=is_honest) as load:
            for newest in range(2, rounds + 2):
                publish(tmp_path / "m", f"{newest}")
                for route, version in (("latest", newest), (f"{newest - 1}", newest - 1), ("latest", newest)):
                    configure(tmp_path, f"load: {{latest: 2}}, route: {{default: {route}}}")
                    wait_until(partial(serves, service, f"{version}"), f"version {version}", service.explain)
                load.wait_for(requests * (newest - 1) // rounds)
            load.stop()
        assert load.failures == []
        assert set(load.answers) == {200}
        assert len(service.processes("host")) == 2
        assert [
            line["event"] for line in service.lines() if line["event"] in ("version_cut", "host_died", "front_died")
        ] == []


# ------------------------------------------------------------------ one swap, and what may come between
@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    publish(tmp_path / "m", "1")
    with serving(tmp_path / "m", "--workers", "2", "--drain-linger-s", "0.2", cwd=tmp_path) as running:
        yield running


def begun(service: Service) -> socket.socket:
    """A request that was admitted, and of which only the head has come."""
    connection = socket.create_connection(("127.0.0.1", service.port), timeout=30)
    connection.sendall(HEAD + BODY[:5])
    wait_until(lambda: in_flight(service) >= 2, "the request to be admitted")  # that one, and the look at it
    return connection


def in_flight(service: Service) -> float:
    text = service.get("/metrics").body.decode()
    return float(next(line for line in text.splitlines() if line.startswith("penstock_requests_in_flight")).split()[1])


def test_a_request_keeps_the_version_that_it_was_admitted_to(service: Service, tmp_path: Path) -> None:
    with begun(service) as slow:
        publish(tmp_path / "m", "2")
        wait_until(lambda: states(service) == {"1": "unloading", "2": "ready"}, "the swap")
        assert serves(service, "2")
        slow.sendall(BODY[5:])
        answer = json.loads(slow.recv(65536).partition(b"\r\n\r\n")[2])
        assert (answer["prediction"], answer["model_version"]) == (1.0, "1")
    wait_until(lambda: states(service) == {"1": "available", "2": "ready"}, "the old one to end")
    assert len(service.processes("host")) == 1


def test_a_version_that_is_leaving_can_be_taken_back_at_once(service: Service, tmp_path: Path) -> None:
    """On the front that still holds a request for it, and on the other, which has let go of it."""
    file = configure(tmp_path, "load: {latest: 1}")
    service.close()
    with serving(file, "--workers", "2", cwd=tmp_path) as anew, begun(anew) as slow:
        old = anew.processes("host")
        publish(tmp_path / "m", "2")
        wait_until(lambda: states(anew) == {"1": "unloading", "2": "ready"}, "the swap", anew.explain)
        configure(tmp_path, "load: {latest: 1}, route: {default: 1}")
        anew.wait_for("version_taken_back")
        with Load(anew, features=[0.0], judge=is_honest) as load:
            load.wait_for(100)
            load.stop()
        assert load.failures == []
        assert set(load.answers) == {200}
        assert serves(anew, "1")
        slow.sendall(BODY[5:])
        assert json.loads(slow.recv(65536).partition(b"\r\n\r\n")[2])["model_version"] == "1"
        assert set(old) <= set(anew.processes("host")), "the process was never exchanged"


def test_a_process_that_dies_while_its_version_leaves_is_started_again_for_who_waits(
    service: Service, tmp_path: Path
) -> None:
    with begun(service) as slow:
        (host,) = service.processes("host")
        publish(tmp_path / "m", "2")
        wait_until(lambda: states(service) == {"1": "unloading", "2": "ready"}, "the swap")
        os.kill(host, signal.SIGKILL)
        service.wait_for("host_restarting")
        slow.sendall(BODY[5:])
        answer = json.loads(slow.recv(65536).partition(b"\r\n\r\n")[2])
        assert (answer["prediction"], answer["model_version"]) == (1.0, "1")
    wait_until(lambda: states(service) == {"1": "available", "2": "ready"}, "the old one to end")


def test_a_front_that_dies_with_a_request_for_it_does_not_keep_a_version(service: Service, tmp_path: Path) -> None:
    with begun(service):
        publish(tmp_path / "m", "2")
        wait_until(lambda: states(service) == {"1": "unloading", "2": "ready"}, "the swap")
        for front in service.processes("front"):
            os.kill(front, signal.SIGKILL)
        wait_until(lambda: states(service) == {"1": "available", "2": "ready"}, "the old one to end")
    assert serves(service, "2")


def test_a_version_whose_process_is_killed_while_it_loads_takes_nothing_over(service: Service, tmp_path: Path) -> None:
    old = service.processes("host")
    publish(tmp_path / "m", "2")
    wait_until(lambda: len(service.processes("host")) == 2, "the new one to start")
    (new,) = set(service.processes("host")) - set(old)
    os.kill(new, signal.SIGKILL)
    wait_until(lambda: states(service)["2"] == "refused", "its end to be noticed")
    assert serves(service, "1")


@contextmanager
def swapping(
    service: Service, folder: Path, judge: Callable[[Any], str | None] = is_honest
) -> Iterator[tuple[Load, list[int]]]:
    """Load, while another version is just being loaded; and all processes that there are then."""
    with Load(service, features=[0.0], judge=judge) as load:
        load.wait_for(50)
        publish(folder / "m", "2")
        service.wait_for("model_loading", lambda line: line["version"] == "2")
        yield load, [service.process.pid, *children_of(service.process.pid)]


def test_the_end_may_come_during_a_swap(service: Service, tmp_path: Path) -> None:
    with swapping(service, tmp_path) as (load, everyone):
        assert service.end() == 0
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {200}
    assert not any(map(alive, everyone))


def test_a_supervisor_that_is_killed_during_a_swap_takes_all_with_it_and_comes_back(
    service: Service, tmp_path: Path
) -> None:
    with swapping(service, tmp_path, is_honest_to_the_end) as (load, everyone):
        service.process.kill()
        service.process.wait(30)
        wait_until(lambda: not any(map(alive, everyone)), "all of its children to end")
        load.stop()
    assert 200 in load.answers
    assert set(load.answers) <= {200, 503}
    assert all("on a connection" in failure for failure in load.failures), "who was cut off, and none answered wrong"
    with serving(tmp_path / "m", "--workers", "2", cwd=tmp_path) as anew:
        assert serves(anew, "2")


# ------------------------------------------------------------------ new versions that are damaged
EXAMPLE = '[{"features": [0.0], "prediction": 1.0}]'


def is_one(answer: Any) -> str | None:
    """What is wrong with an answer, where each is to be 1."""
    return None if answer.get("prediction") == 1.0 else f"answered {answer}"


@pytest.mark.soak
def test_damaged_versions_never_disturb_the_one_that_serves(tmp_path: Path, scale: Callable[[int, int], int]) -> None:
    """Each is refused, or gives the examples' answers: then it is as good."""
    good, shelf = constant(1.0), tmp_path / "m"
    publish(shelf, "1", 1.0, {"examples.json": EXAMPLE})
    with serving(shelf, "--workers", "2", cwd=tmp_path) as service:
        with Load(service, features=[0.0], every_s=scale(20, 0) / 1000, judge=is_one) as load:
            for version, damaged in enumerate(mutations(good, scale(3, 200)), 2):
                publish(shelf, f"{version}", artifact=damaged, beside={"examples.json": EXAMPLE})
                if version % 3 == 1:  # some at a time
                    settled = {f"{i}": ("refused", "ready", "available", "unloading") for i in range(1, version + 1)}
                    wait_until(partial(have_settled, service, settled), "all to be tried", service.explain)
            load.wait_for(200)
            load.stop()
        assert load.failures == []
        assert set(load.answers) == {200}
        assert "refused" in states(service).values()
        assert len(service.processes("front")) == 2


def have_settled(service: Service, settled: Mapping[str, Collection[str]]) -> bool:
    now = states(service)
    return all(now.get(version) in fates for version, fates in settled.items())
