"""Hosts that die, hang, or are killed: only what they held fails, and another takes their place."""

import os
import signal
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

from tests.acceptance.behaving import DIE, HANG, HOLD, SLEEP
from tests.acceptance.driver import Load, Reply, Service, command_of, serving, wait_until
from tests.acceptance.test_statuses import until_called, until_queued


def has_another_host(service: Service, old: int) -> bool:
    return service.processes("host") not in ([], [old])


def said_of(service: Service) -> Any:
    """What the front knows of the model's version."""
    return service.get("/models/behaving").body["versions"][0]


def is_said(service: Service, state: str, restarts: int) -> bool:
    """Whether the front has been told. The log may be ahead of it."""
    version = said_of(service)
    return (version["state"], version["restarts"]) == (state, restarts)


def test_a_process_tells_which_model_it_serves(iris_onnx: Path, tmp_path: Path) -> None:
    with serving(f"flowers={iris_onnx}", cwd=tmp_path) as service:
        (host,) = service.processes("host")
        assert command_of(host).endswith("-m penstock.host flowers/1 ")
        assert service.wait_for("model_ready")["pid"] == host
        assert service.get("/models/flowers").body["versions"][0]["pids"] == [host]
        os.kill(host, signal.SIGKILL)
        wait_until(lambda: len(service.lines("model_ready")) == 2, "its successor", service.explain)
        after = service.lines("model_ready")[1]["pid"]
        wait_until(
            lambda: service.get("/models/flowers").body["versions"][0]["pids"] == [after], "told of", service.explain
        )
        assert service.processes("host") == [after] != [host]


def test_a_host_killed_under_load_costs_only_what_it_held(iris_onnx: Path, tmp_path: Path) -> None:
    with serving(iris_onnx, cwd=tmp_path) as service, Load(service) as load:
        for _ in range(2):
            load.wait_for(len(load.answers) + 200)
            (host,) = service.processes("host")
            os.kill(host, signal.SIGKILL)
            wait_until(partial(has_another_host, service, host), "another host", service.explain)
            load.wait_for(len(load.answers) + 200)
        load.stop()
        assert load.failures == []
        assert set(load.answers) <= {200, 500, 503}
        assert len([status for status in load.answers if status != 200]) <= 2 * 8
        assert service.lines("host_restarting")[0]["wait_s"] == 0


def test_the_request_that_kills_the_host_alone_is_500_and_the_next_is_served(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, _ = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        assert service.predict(DIE, 1).status == 500
        began = time.monotonic()
        assert service.predict(0, 2).body["prediction"] == 2
        assert time.monotonic() - began < 10


def test_a_model_that_dies_again_and_again_leaves_the_service_up_and_says_so(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, _ = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        front = service.processes("front")
        for deaths in range(1, 5):
            wait_until(partial(is_said, service, "ready", deaths - 1), "ready again", service.explain)
            assert service.predict(DIE, deaths).status == 500
        wait_until(partial(is_said, service, "restarting", 3), "told of", service.explain)
        service.process.send_signal(signal.SIGSTOP)  # so that it stays so for as long as it is looked at
        version = said_of(service)
        assert (version["state"], version["code"], version["restarts"]) == ("restarting", "host_lost", 3)
        assert "SIGKILL" in version["reason"]
        assert (service.get("/health").status, service.get("/ready").status) == (200, 503)
        meanwhile = service.predict(0, 5)
        assert (meanwhile.status, meanwhile.body["code"]) == (503, "host_lost")
        assert "retry-after" in meanwhile.headers
        service.process.send_signal(signal.SIGCONT)
        wait_until(lambda: len(service.lines("host_restarting")) == 4, "lines", service.explain)
        assert [line["wait_s"] for line in service.lines("host_restarting")] == [0, 1, 2, 4]
        wait_until(lambda: service.get("/ready").status == 200, "ready again", service.explain)
        assert service.predict(0, 6).status == 200
        assert service.processes("front") == front


def test_a_request_that_its_host_never_took_is_not_to_blame_for_its_end(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        (host,) = service.processes("host")
        os.kill(host, signal.SIGSTOP)
        unread = Asking(service, 0, 101)
        wait_until(lambda: b"penstock_requests_in_flight 2.0" in service.get("/metrics").body, "it and this one")
        os.kill(host, signal.SIGKILL)
        reply = unread.wait()
        assert (reply.status, reply.body["code"], reply.headers["retry-after"]) == (503, "host_lost", "1")
        assert "101" not in record.read_text().split()


def test_a_batch_that_is_lost_is_503_and_what_waited_is_served(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        first = Asking(service, SLEEP, 101)
        until_called(record, "101")
        held = [Asking(service, HOLD, 102), Asking(service, HOLD, 103)]
        first.wait()
        until_called(record, "103")
        waiting = Asking(service, 0, 4)
        until_queued(service, 1)
        os.kill(service.processes("host")[0], signal.SIGKILL)
        replies = [each.wait() for each in held]
        assert {reply.status for reply in replies} <= {503, 500}, "500 for one that was alone in its batch"
        assert all("retry-after" in reply.headers for reply in replies if reply.status == 503)
        assert waiting.wait().status == 200


def test_a_hung_host_is_killed_at_the_models_own_time_limit(behaving: Callable[[], Any], tmp_path: Path) -> None:
    """The model holds the interpreter's lock for good, so nothing but a kill helps."""
    _, arguments, record = behaving()
    with serving(*arguments, "--predict-timeout-s", "1", cwd=tmp_path) as service:
        (before,) = service.processes("host")
        hung = Asking(service, HANG, 101)
        until_called(record, "101")
        waiting = Asking(service, 0, 2)
        assert hung.wait().status == 504
        assert waiting.wait().status == 200
        assert before not in service.processes("host")
        assert service.get("/ready").status == 200


def test_a_host_that_serves_many_fronts_in_turn_is_not_taken_to_hang(
    behaving: Callable[[], Any], tmp_path: Path
) -> None:
    """Each batch takes half a second and waits for those of three others, which is longer than a batch may take."""
    _, arguments, _ = behaving()
    options = ("--workers", "4", "--max-rows", "1", "--predict-timeout-s", "1.4")
    with serving(*arguments, *options, cwd=tmp_path) as service:
        wait_until(lambda: len(service.processes("front")) == 4, "four fronts", service.explain)
        (before,) = service.processes("host")
        asking = [Asking(service, SLEEP, name) for name in range(12)]
        assert [each.wait().status for each in asking] == [200] * 12
        assert service.processes("host") == [before]
        assert service.lines("host_died") == []


def test_a_clients_deadline_never_kills_a_host(talkative: tuple[Service, Path]) -> None:
    service, _ = talkative
    before = service.processes("host")
    late = service.request("POST", "/predict", {"features": [SLEEP, 1]}, {"x-request-timeout-ms": "50"})
    assert late.status == 504
    assert service.predict(0, 2).status == 200
    assert service.processes("host") == before


def test_the_rows_of_a_client_that_went_away_are_never_computed(talkative: tuple[Service, Path]) -> None:
    service, record = talkative
    holding = Asking(service, HOLD, 101)
    until_called(record, "101")
    body = b'{"features": [0, 77]}'
    leaving = socket.create_connection(("127.0.0.1", service.port))
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    leaving.sendall(head % len(body) + body)
    until_queued(service, 1)
    leaving.close()
    assert service.wait_for("prediction", lambda line: line["status"] == 499)["code"] == "client_gone"
    record.with_name("release").touch()
    holding.wait()
    assert service.predict(0, 78).status == 200
    assert "77" not in record.read_text().split()


def test_what_a_model_prints_reaches_the_log(talkative: tuple[Service, Path]) -> None:
    line = talkative[0].wait_for("model_output")
    assert (line["line"], line["stream"], line["model"]) == ("hello from the model", "stdout", "behaving")


class Asking(Thread):
    """A request under way."""

    def __init__(self, service: Service, *features: float, **headers: str) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._features = features
        self._headers = headers
        self._reply: Reply | None = None
        self.start()

    def run(self) -> None:
        self._reply = self._service.predict(*self._features, **self._headers)

    def wait(self) -> Reply:
        self.join(40)
        assert self._reply is not None
        return self._reply
