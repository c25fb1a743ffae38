"""nginx in front: the client's id or its own is ours, its client is ours, and a drained upstream costs no answer.

The example's own configuration is run, on ports of its own and with its log in a folder of its own.
"""

import http.client
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from penstock.config import Limits, Model
from penstock.interface.call import SANE_ID
from tests.acceptance.driver import Load, Service, serving, wait_until
from tests.deploy.driver import EXAMPLES, free_port

EXAMPLE = EXAMPLES / "nginx.conf"
AROUND = """
daemon off;
user root;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{}}
http {{
    {temporary}
    include {folder}/penstock.conf;
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
ROW = json.dumps({"features": [5.1, 3.5, 1.4, 0.2]}).encode()

pytestmark = pytest.mark.needs("nginx")


class Answer(NamedTuple):
    status: int
    ids: list[str]
    body: bytes


class Nginx:
    """A real nginx in front of `services`, which stand where the example's upstreams do."""

    def __init__(self, folder: Path, services: list[Service]) -> None:
        self.folder = folder
        self.port = free_port()
        upstreams = iter(services)
        text = re.sub(r"127\.0\.0\.1:800\d", lambda _: f"127.0.0.1:{next(upstreams).port}", self._example_code())
        text = text.replace("listen 80;", f"listen 127.0.0.1:{self.port};").replace("/var/log/nginx", str(folder))
        (folder / "penstock.conf").write_text(text)
        temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in TEMPORARY)
        (folder / "nginx.conf").write_text(AROUND.format(folder=folder, temporary=temporary))
        command: list[str | Path] = ["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"]
        self._process = subprocess.Popen(command)

    def ask(
        self, method: str, path: str, body: bytes | None = None, address: str = "127.0.0.2", **headers: str
    ) -> Answer:
        """The answer to one request of a client at `address`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30, source_address=(address, 0))
        with closing(connection):
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, {"content-type": "application/json"} | named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers.get_all("x-request-id") or [], answer.read())

    def explain(self) -> str:
        return (self.folder / "error.log").read_text() if (self.folder / "error.log").exists() else ""

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)

    @staticmethod
    def _example_code() -> str:
        return re.sub(r"^#.*", "", EXAMPLE.read_text(), flags=re.MULTILINE)


@pytest.fixture(scope="module")
def front(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, list[Service]]]:
    folder = tmp_path_factory.mktemp("nginx")
    env = {"PENSTOCK_TRUSTED_PROXIES": "127.0.0.1", "PENSTOCK_DRAIN_LINGER_S": "0.5"}
    with ExitStack() as started:
        services = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            starting = serving(site / "penstock.yaml", cwd=folder / name, env=env, ready=False)
            services.append(started.enter_context(starting))
        nginx = Nginx(folder, services)
        started.callback(nginx.close)
        for service in services:
            wait_until(partial(is_ready, service), "a service", service.explain)
        wait_until(lambda: nginx.ask("GET", "/ready").status == 200, "nginx", nginx.explain)
        yield nginx, services


def is_ready(service: Service) -> bool:
    return service.get("/ready").status == 200


def line_of(services: list[Service], request_id: str) -> dict[str, Any]:
    """The log line of a prediction, in whichever service's log it is."""
    found: list[dict[str, Any]] = []

    def look() -> bool:
        found.extend(line for each in services for line in each.lines("prediction") if line["request_id"] == request_id)
        return bool(found)

    wait_until(look, f"the log line of {request_id}")
    return found[0]


def test_the_id_of_nginx_is_that_of_the_answer_and_of_both_logs(front: tuple[Nginx, list[Service]]) -> None:
    nginx, services = front
    answer = nginx.ask("POST", "/predict", b'{"features": []}')
    (given,) = answer.ids
    assert given == json.loads(answer.body)["request_id"]
    assert re.fullmatch("[0-9a-f]{32}", given), "an id of nginx's make"
    assert line_of(services, given)["status"] == 400
    wait_until(lambda: given in (nginx.folder / "penstock.log").read_text(), "nginx's own line")


def test_an_id_that_the_client_gave_is_kept_all_the_way(front: tuple[Nginx, list[Service]]) -> None:
    nginx, services = front
    answer = nginx.ask("POST", "/predict", ROW, x_request_id="checkout-7f3a")
    assert answer.ids == ["checkout-7f3a"]
    assert line_of(services, "checkout-7f3a")["status"] == 200
    wait_until(lambda: " checkout-7f3a " in (nginx.folder / "penstock.log").read_text(), "nginx's own line")
    refused = nginx.ask("POST", "/predict", b" " * (Limits().body + 1), x_request_id="checkout-7f3b")
    assert (refused.status, refused.ids) == (413, ["checkout-7f3b"]), "by nginx itself"


@pytest.mark.parametrize("given", ["", "a b", 'a"b', "a" * 129], ids=["empty", "blank", "quote", "long"])
def test_an_id_that_penstock_would_not_take_is_replaced(given: str, front: tuple[Nginx, list[Service]]) -> None:
    nginx, services = front
    answer = nginx.ask("POST", "/predict", ROW, x_request_id=given)
    assert re.fullmatch("[0-9a-f]{32}", answer.ids[0])
    assert line_of(services, answer.ids[0])["status"] == 200


def test_nginx_takes_the_ids_that_penstock_takes() -> None:
    assert f'"~^{SANE_ID.pattern.decode()}$" $http_x_request_id;' in EXAMPLE.read_text()


def test_the_client_is_who_speaks_to_nginx_whatever_it_says_of_itself(front: tuple[Nginx, list[Service]]) -> None:
    nginx, services = front
    answer = nginx.ask("POST", "/predict", ROW, address="127.0.0.3", x_forwarded_for="203.0.113.66")
    assert answer.status == 200
    assert line_of(services, answer.ids[0])["client"] == "127.0.0.3"


def test_a_body_is_as_large_as_penstock_takes_it(front: tuple[Nginx, list[Service]]) -> None:
    nginx, services = front
    room = Limits().body - len(ROW)
    answer = nginx.ask("POST", "/predict", ROW + b" " * room)
    assert answer.status == 200
    assert line_of(services, answer.ids[0])["status"] == 200
    refused = nginx.ask("POST", "/predict", ROW + b" " * (room + 1))
    assert (refused.status, len(refused.ids)) == (413, 1), "by nginx itself, with an id all the same"


def test_figures_are_not_for_the_public(front: tuple[Nginx, list[Service]]) -> None:
    assert front[0].ask("GET", "/metrics").status == 404


def test_its_times_are_those_of_penstock() -> None:
    said = dict(re.findall(r"^\s*(\w+) (\d+)s;", EXAMPLE.read_text(), re.MULTILINE))
    upstream = re.search(r"upstream .*?\n}", EXAMPLE.read_text(), re.DOTALL)
    assert upstream is not None
    idle = re.search(r"keepalive_timeout (\d+)s", upstream[0])
    assert idle is not None
    limits = Limits()
    assert float(said["client_header_timeout"]) == limits.header_s
    assert float(said["client_body_timeout"]) == float(said["proxy_send_timeout"]) == limits.body_s
    assert float(said["keepalive_timeout"]) == limits.idle_s
    assert float(idle[1]) < limits.idle_s, "else a request may meet a connection that is being closed"
    assert float(said["proxy_read_timeout"]) > Model(path="x").deadline_ms / 1000


def test_a_front_is_killed_under_load_and_the_other_upstream_is_asked_again(front: tuple[Nginx, list[Service]]) -> None:
    nginx, (dying, _) = front
    with Load(nginx, clients=4) as load:
        load.wait_for(100)
        (killed,) = dying.processes("front")
        os.kill(killed, signal.SIGKILL)
        dying.wait_for("front_ready", lambda line: line["pid"] != killed)
        load.stop()
    assert load.failures == []
    assert set(load.answers) == {200}


def test_an_upstream_is_drained_under_load_and_nothing_is_lost(front: tuple[Nginx, list[Service]]) -> None:
    """The last of these tests: one of the services is gone afterwards."""
    nginx, (leaving, staying) = front
    with Load(nginx, clients=4) as load:
        load.wait_for(100)
        leaving.process.send_signal(signal.SIGTERM)
        assert leaving.process.wait(30) == 0
        load.wait_for(len(load.answers) + 100)
        load.stop()
    assert load.failures == []
    assert load.refused == 0
    assert set(load.answers) == {200}
    assert leaving.lines("prediction")
    assert staying.lines("prediction")
