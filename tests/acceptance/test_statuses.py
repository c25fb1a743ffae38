"""The status table, over a real process and a real socket."""

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.behaving import HOLD, NOT_A_NUMBER, RAISE, SLEEP, WRONG_LENGTH
from tests.acceptance.driver import Service, serving, wait_until

ROW = [5.1, 3.5, 1.4, 0.2]
NAMED = {f"f{i}": value for i, value in enumerate(ROW)}


@pytest.fixture(scope="module")
def service(iris: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    arguments = ["--limits-body", "20000", "--limits-headers", "4096", "--limits-header-s", "1", "--limits-body-s", "1"]
    with serving(iris, *arguments, cwd=tmp_path_factory.mktemp("service")) as running:
        yield running


def test_a_row_is_answered_with_everything_the_dialect_promises(service: Service) -> None:
    reply = service.request("POST", "/predict", {"features": ROW}, {"x-request-id": "mine-1"})
    assert reply.status == 200
    assert set(reply.body) == {"prediction", "confidence", "latency_ms", "timestamp", "model", "model_version"}
    assert (reply.body["prediction"], reply.body["model"], reply.body["model_version"]) == ("setosa", "iris", "1")
    assert 0.9 < reply.body["confidence"] <= 1
    assert reply.body["timestamp"].endswith("Z")
    assert reply.headers["x-request-id"] == "mine-1"
    assert reply.headers["server-timing"].startswith("queue;dur=")


def test_a_batch_is_answered_row_by_row_and_by_name_as_well(service: Service) -> None:
    rows = [ROW, [6.7, 3.0, 5.2, 2.3]]
    reply = service.request("POST", "/models/iris/predict-batch?probabilities=true", {"batch": rows})
    assert reply.body["predictions"] == ["setosa", "virginica"]
    assert [len(row) for row in reply.body["probabilities"]] == [3, 3]
    named = service.request("POST", "/predict-batch", {"batch": [NAMED]})
    assert named.body["predictions"] == ["setosa"]


FEATURES = [
    (b"nonsense", 400),
    (b"", 400),
    (b'{"features": [1, 2, 3, 4]', 400),
    (b'{"features": ["\xff"]}', 400),
    (b"[" * 10_000, 400),
    ({"features": [1, 2, 3]}, 400),
    (b'{"features": [NaN, 1, 1, 1]}', 400),
    (b'{"features": [Infinity, 1, 1, 1]}', 400),
    (b'{"features": [1e400, 1, 1, 1]}', 400),
    ({"features": ["1", 2, 3, 4]}, 422),
    ({"features": ["NaN", 2, 3, 4]}, 422),
    ({"features": [True, 2, 3, 4]}, 422),
    ({"features": [None, 2, 3, 4]}, 422),
    ({"features": {"f0": 1}}, 422),
    ({"features": NAMED | {"more": 1}}, 422),
    ({"features": ROW, "more": 1}, 422),
    ({"rows": ROW}, 422),
    ({}, 422),
    ([], 422),
]


@pytest.mark.parametrize(("body", "status"), FEATURES)
def test_a_wrong_row_says_what_is_wrong(service: Service, body: Any, status: int) -> None:
    reply = service.request("POST", "/predict", body)
    assert_error(reply, status)
    assert ("errors" in reply.body) == (status == 422)


@pytest.mark.parametrize(
    ("batch", "status"),
    [([], 422), ([ROW, ROW[:3]], 400), ([ROW, NAMED], 400), ([ROW[:2]] * 2, 400), (3, 422)],
)
def test_a_wrong_batch_says_what_is_wrong(service: Service, batch: Any, status: int) -> None:
    assert_error(service.request("POST", "/predict-batch", {"batch": batch}), status)


def test_too_many_rows_are_422(service: Service) -> None:
    body = b'{"batch": [' + b",".join([b"[1,1,1,1]"] * 1001) + b"]}"
    assert_error(service.request("POST", "/predict-batch", body), 422)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/models/nobody/predict", 404),
        ("POST", "/predict?model_version=9", 404),
        ("GET", "/models/nobody", 404),
        ("GET", "/nothing", 404),
        ("GET", "/predict", 405),
        ("POST", "/health", 405),
        ("POST", "/predict?probabilities=maybe", 422),
        ("POST", "/predict?probabilites=true", 422),
        ("POST", "/predict?probabilities=true&probabilities=true", 422),
        ("POST", "/predict?probabilities=true&nocache", 422),
        ("POST", "/predict?model_version=%ff&x=%00", 422),
    ],
)
def test_wrong_places_and_methods(service: Service, method: str, path: str, status: int) -> None:
    reply = service.request(method, path, {"features": ROW} if method == "POST" else None)
    assert_error(reply, status)
    assert status != 405 or "allow" in reply.headers
    assert status != 404 or "/models/" not in path or "iris" in reply.body["detail"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"x-request-timeout-ms": "soon"}, 400),
        ({"x-request-timeout-ms": "0"}, 400),
        ({"x-request-timeout-ms": "-5"}, 400),
        ({"x-model-version": "9"}, 404),
        ({"x-filler": "x" * 5000}, 431),
    ],
)
def test_wrong_headers(service: Service, headers: dict[str, str], status: int) -> None:
    assert_error(service.request("POST", "/predict", {"features": ROW}, headers), status)


def test_blanks_around_the_value_of_a_header_are_no_part_of_it(service: Service) -> None:
    headers = {"x-request-timeout-ms": " 5000 \t", "content-type": "application/json "}
    assert service.request("POST", "/predict", {"features": ROW}, headers).status == 200


def test_no_media_type_is_415_and_json_in_utf_8_is_taken(service: Service) -> None:
    body = json.dumps({"features": ROW}).encode()
    assert b" 415 " in raw(
        service, b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body), body
    )
    reply = service.request("POST", "/predict", body, {"content-type": "application/json; charset=UTF-8"})
    assert reply.status == 200


def test_a_body_over_the_limit_is_413_on_the_header_already(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 30000\r\n\r\n"
    assert b" 413 " in raw(service, head)
    assert_error(service.request("POST", "/predict", b"[" + b"1," * 15_000 + b"1]"), 413)


def test_what_does_not_arrive_in_time_is_408(service: Service) -> None:
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\n"
    body = b"content-type: application/json\r\ncontent-length: 10\r\n\r\n{"
    with ThreadPoolExecutor() as both:
        answers = both.map(lambda sent: raw(service, *sent), [(head,), (head, body)])
    assert [b" 408 " in answer for answer in answers] == [True, True]


def test_what_is_not_http_is_400(service: Service) -> None:
    assert b" 400 " in raw(service, b"\x16\x03\x01\x02\x00")


def test_the_models_pages_tell_of_the_model(service: Service) -> None:
    (model,) = service.get("/models").body["models"]
    assert model["name"] == "iris"
    told = service.get("/models/iris").body
    assert "setosa" in json.dumps(told)
    assert service.get("/models/iris/ready").status == 200


def test_a_failing_model_is_500_for_its_own_request_only(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, _ = behaving()
    with serving(*arguments, cwd=tmp_path) as service:
        for action in (RAISE, NOT_A_NUMBER, WRONG_LENGTH):
            reply = service.predict(action, 7)
            assert_error(reply, 500)
            assert reply.body["request_id"] in reply.headers["x-request-id"]
            assert "told to" not in reply.body["detail"]
        assert service.predict(0, 7).body["prediction"] == 7


def test_a_full_queue_is_503_and_a_deadline_that_passes_504(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, "--queue-rows", "1", cwd=tmp_path) as service:
        holding = Thread(target=service.predict, args=(HOLD, 101))
        holding.start()
        until_called(record, "101")
        waiting = Thread(target=service.predict, args=(0, 2))
        waiting.start()
        until_queued(service, 1)
        refused = service.predict(0, 103)
        assert_error(refused, 503)
        assert int(refused.headers["retry-after"]) >= 1
        record.with_name("release").touch()
        holding.join()
        waiting.join()
        late = service.request("POST", "/predict", {"features": [SLEEP, 4]}, {"x-request-timeout-ms": "100"})
        assert_error(late, 504)
        assert "103" not in record.read_text().split()


WAITING = """
import os, time
while not os.path.exists({go!r}):
    time.sleep(0.01)
"""


def test_while_a_model_loads_the_service_is_alive_and_not_ready(behaving: Callable[[], Any], tmp_path: Path) -> None:
    _, arguments, _ = behaving()
    slow = tmp_path / "slow.py"
    slow.write_text(WAITING.format(go=str(tmp_path / "go")) + Path(arguments[2]).read_text())
    renamed = [arguments[0], "--code-path", slow.rename(tmp_path / "behaving.py")]
    with serving(*renamed, cwd=tmp_path, ready=False) as service:
        assert (service.get("/health").status, service.get("/health").body["status"]) == (200, "unhealthy")
        assert (service.get("/ready").status, service.get("/ready").body["status"]) == (503, "not_ready")
        refused = service.predict(0, 1)
        assert_error(refused, 503)
        assert "retry-after" in refused.headers
        (tmp_path / "go").touch()
        wait_until(lambda: service.get("/ready").status == 200, "ready", service.explain)
        assert service.get("/health").body["status"] == "healthy"
        assert service.predict(0, 1).status == 200


def assert_error(reply: Any, status: int) -> None:
    assert reply.status == status, reply
    assert {"detail", "code", "request_id"} <= set(reply.body)
    assert len(json.dumps(reply.body)) < 2048


def raw(service: Service, *parts: bytes) -> bytes:
    """What comes back for these bytes, until the server closes or has nothing more to say."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
        return connection.recv(65536)


def until_called(record: Path, value: str) -> None:
    wait_until(lambda: record.exists() and value in record.read_text().split(), f"a call for {value}")


def until_queued(service: Service, rows: int) -> None:
    def queued() -> bool:
        lines = service.get("/metrics").body.decode().splitlines()
        return any(line.startswith("penstock_queue_rows{") and line.endswith(f" {rows:.1f}") for line in lines)

    wait_until(queued, "a queued row", service.explain)
