"""Answers that are kept, in the service as it is run: by its fronts, and in a Redis that comes to harm."""

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.acceptance.behaving import ANSWER, RAISE, SLEEP
from tests.acceptance.conftest import Made
from tests.acceptance.driver import Reply, Service, serving, wait_until
from tests.acceptance.numbered import publish
from tests.redis_server import RedisServer, redis_server

AT_ONCE = 1_000


def request(*features: float) -> bytes:
    body = json.dumps({"features": features}).encode()
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    return head % len(body) + body


async def all_at_once(port: int, asked: bytes, times: int) -> list[bytes]:
    """The heads of the answers to so many requests, each of which was sent before any was answered."""
    streams = [await asyncio.open_connection("127.0.0.1", port) for _ in range(times)]
    for _, writer in streams:
        writer.write(asked)
    heads = [await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60) for reader, _ in streams]
    for _, writer in streams:
        writer.close()
    return heads


def kept(reply: Reply) -> str | None:
    assert reply.status == 200, reply
    return reply.headers.get("x-cache")


def rows(service: Service) -> dict[str, float]:
    """The rows of penstock_cache_rows_total, by result."""
    told = service.get("/metrics").body.decode()
    return {result: float(n) for result, n in re.findall(r'penstock_cache_rows_total{.*result="(\w+)".*?} (\S+)', told)}


def states(service: Service) -> dict[str, str]:
    return {version["version"]: version["state"] for version in service.get("/models/m").body["versions"]}


def test_a_thousand_at_once_on_a_cold_cache_are_one_call_of_the_model(
    behaving: Callable[[], Made], tmp_path: Path
) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, "--cache-mode", "on", cwd=tmp_path) as service:
        heads = asyncio.run(all_at_once(service.port, request(SLEEP, 42), AT_ONCE))
        assert {head.split(b"\r\n")[0] for head in heads} == {b"HTTP/1.1 200 OK"}
        assert record.read_text().split().count("42") == 1
        counted = rows(service)
        assert (counted["miss"], counted["shared"] + counted["hit"]) == (1, AT_ONCE - 1)


def test_errors_are_not_kept(behaving: Callable[[], Made], tmp_path: Path) -> None:
    _, arguments, record = behaving()
    with serving(*arguments, "--cache-mode", "on", cwd=tmp_path) as service:
        assert [service.predict(RAISE, 43).status for _ in range(2)] == [500, 500]
        assert record.read_text().split().count("43") == 2
        assert [kept(service.predict(ANSWER, 44)) for _ in range(2)] == ["miss", "hit"]
        assert record.read_text().split().count("44") == 1


def test_no_version_is_answered_by_what_another_or_another_artifact_of_its_name_has_said(tmp_path: Path) -> None:
    def configure(load: str, default: str) -> Path:
        file, staging = tmp_path / "penstock.yaml", tmp_path / ".penstock.yaml"
        settings = f"path: m, load: [{load}], route: {{default: {default}}}, cache: {{mode: on}}"
        staging.write_text(f"models: {{m: {{{settings}}}}}\n")
        staging.rename(file)
        return file

    publish(tmp_path / "m", "1")
    publish(tmp_path / "m", "2")
    with serving(configure("'1'", "'1'"), cwd=tmp_path) as service:
        assert [kept(service.predict(0.0)) for _ in range(2)] == ["miss", "hit"]
        configure("'1','2'", "'2'")
        wait_until(lambda: service.predict(0.0).body["prediction"] == 2.0, "the second version", service.explain)
        assert service.request("POST", "/predict?model_version=1", {"features": [0.0]}).headers["x-cache"] == "hit"
        configure("'2'", "'2'")
        wait_until(lambda: states(service)["1"] == "available", "to be unloaded", service.explain)
        shutil.rmtree(tmp_path / "m" / "1")
        publish(tmp_path / "m", "1", 7.0)
        configure("'1','2'", "'1'")
        wait_until(lambda: service.predict(0.0).body["model_version"] == "1", "the first version", service.explain)
        assert service.predict(0.0).body["prediction"] == 7.0


# ------------------------------------------------------------------ in Redis
@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@contextmanager
def two(iris: Path, server: RedisServer, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    """Two services with one Redis, as on two machines."""
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    options = ("--cache-mode", "on", "--cache-store", "redis", "--redis-url", server.url, "--redis-timeout-ms", "200")
    with (
        serving(iris, *options, cwd=folders[0]) as here,
        serving(iris, *options, cwd=folders[1]) as there,
    ):
        yield here, there


def ask(service: Service, first: float) -> Reply:
    return service.predict(first, 3.5, 1.4, 0.2)


@pytest.mark.needs("redis-server", "hiredis")
def test_services_share_what_they_keep_and_serve_on_whatever_becomes_of_redis(
    iris_onnx: Path, server: RedisServer, tmp_path: Path
) -> None:
    with two(iris_onnx, server, tmp_path) as (here, there):
        first = ask(here, 5.0)
        wait_until(lambda: len(server.ask("KEYS", "penstock:cache:*")) == 1, "the answer in Redis", here.explain)
        second = ask(there, 5.0)
        assert (kept(first), kept(second)) == ("miss", "hit")
        assert [reply.body["prediction"] for reply in (first, second)] == ["setosa"] * 2
        assert first.body["confidence"] == second.body["confidence"]

        (name,) = server.ask("KEYS", "penstock:cache:*")
        server.ask("SET", name, b"cos\nsystem\n(S'true'\ntR.")
        assert kept(reply := ask(there, 5.0)) == "miss"
        assert reply.body["confidence"] == first.body["confidence"]

        server.freeze()
        for turn in range(20):
            assert ask(here, 5.0 + turn % 2).body["prediction"] == "setosa"
        server.thaw()
        server.stop()
        for turn in range(20):
            assert ask(here, 5.0 + turn % 2).body["prediction"] == "setosa"
        assert here.lines("redis_away")

        server.start()
        wait_until(partial(_hits, there), "Redis to be found again", there.explain)


def _hits(service: Service) -> bool:
    return kept(ask(service, 5.2)) == "hit"
