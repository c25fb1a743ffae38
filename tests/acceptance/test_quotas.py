"""Quotas, over real processes: all fronts together admit what a client may ask for, and never more."""

import re
import signal
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.driver import Load, Service, penstock, serving, wait_until
from tests.acceptance.numbered import publish
from tests.redis_server import redis_server

A_SECOND = 200
BURST = 50


def complaint_of(body: dict[str, Any]) -> str | None:
    """A quota refuses, or on a busy machine is not known in time; and nothing else goes wrong."""
    code = body.get("code")
    return None if code in (None, "quota_exceeded", "quota_unknown") else f"refused with {code}"


@pytest.mark.parametrize("unit", ["requests", "rows"])
def test_fronts_that_come_and_go_go_on_admitting_and_never_more_than_the_quota(unit: str, tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    quota = [f"--quota-{unit}", f"{A_SECOND}/s", f"--quota-{unit}-burst", str(BURST)]
    linger = ["--drain-linger-s", "0.2"]
    with serving(tmp_path / "m", "--workers", "2", *quota, *linger, cwd=tmp_path) as service:
        began = time.monotonic()
        with Load(service, clients=8, features=[0.0], every_s=0.01, judge=complaint_of) as load:
            wait_until(lambda: load.answers.count(200) > BURST + A_SECOND // 2, "answers", service.explain)
            service.process.send_signal(signal.SIGHUP)
            service.wait_for("fronts_rolled")
            before = load.answers.count(200)
            wait_until(lambda: load.answers.count(200) > before + A_SECOND // 2, "answers", service.explain)
            load.stop()
        took_s = time.monotonic() - began
        assert load.failures == []
        assert load.answers.count(200) <= BURST + A_SECOND * took_s
        told = service.get("/metrics").body.decode()
        counted = re.search(rf'^penstock_quota_refusals_total{{unit="{unit}"}} (\S+)$', told, re.MULTILINE)
        assert counted is not None
        assert (float(counted[1]) > 0) == (429 in load.answers), "whoever is refused is counted"


def test_the_quota_of_a_key_is_its_own_and_changes_while_the_service_runs(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    file = tmp_path / "penstock.keys"
    slow, fast = (penstock("key", "new", name, cwd=tmp_path).stdout.strip() for name in ("slow", "fast"))
    plain = file.read_text()
    file.write_text(plain.replace("slow: {", "slow: {quota: {requests: 2/min}, "))
    said = ["--keys", file.name, "--quota-requests", "1000/s", "--workers", "2"]
    with serving(tmp_path / "m", *said, cwd=tmp_path) as service:
        answers = [service.predict(0.0, X_API_Key=slow) for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 429, 429]
        assert answers[3].headers["ratelimit-policy"] == '"requests";q=2;w=60'
        assert 0 < int(answers[3].headers["retry-after"]) <= 30
        assert {service.predict(0.0, X_API_Key=fast).status for _ in range(4)} == {200}
        line = service.wait_for("prediction", lambda line: line["status"] == 429)
        assert (line["key"], line["code"]) == ("slow", "quota_exceeded")
        file.write_text(plain.replace("slow: {", "slow: {quota: {}, "))
        wait_until(lambda: service.predict(0.0, X_API_Key=slow).status == 200, "the new quota", service.explain)
        answers = [service.predict(0.0, X_API_Key=slow) for _ in range(4)]
        assert {(answer.status, "ratelimit" in answer.headers) for answer in answers} == {(200, False)}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--quota-requests", "fast"), "a rate from 1 to 999999999, such as 100/s"),
        (("--quota-requests", "0/s"), "a rate from 1 to 999999999, such as 100/s"),
        (
            ("--quota-rows-burst", "9"),
            "quota.rows_burst: a burst needs a rate: add rows, such as rows: 9/s, or leave this out",
        ),
        (("--quota-store", "redis"), "say redis.url too"),
    ],
)
def test_a_quota_that_makes_no_sense_is_no_service(words: tuple[str, ...], complaint: str, tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    done = penstock("serve", "m", *words, "--port", "0", cwd=tmp_path)
    assert (done.returncode, complaint in done.stderr) == (2, True), done.stderr


@pytest.mark.needs("redis-server", "hiredis")
def test_machines_that_share_a_redis_share_a_quota_and_count_by_themselves_without(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    with redis_server(tmp_path) as redis, ExitStack() as machines:
        shared = ["--redis-url", redis.url, "--redis-timeout-ms", "2000", "--quota-store", "redis"]
        words: list[str | Path] = [
            tmp_path / "m",
            "--quota-requests",
            f"{A_SECOND}/s",
            "--quota-requests-burst",
            str(BURST),
            *shared,
        ]
        services = [machines.enter_context(serving(*words, cwd=folder)) for folder in folders]
        began = time.monotonic()
        loads = [
            machines.enter_context(Load(service, clients=4, features=[0.0], judge=complaint_of)) for service in services
        ]
        wait_until(lambda: sum(load.answers.count(200) for load in loads) > BURST + 2 * A_SECOND, "answers")
        for load in loads:
            load.stop()
        took_s = time.monotonic() - began
        assert [load.failures for load in loads] == [[], []]
        assert sum(load.answers.count(200) for load in loads) <= BURST + A_SECOND * took_s
        redis.stop()
        for service in services:
            wait_until(partial(is_told, service, "quota_store_away"), "the outage", service.explain)
        redis.start()
        for service in services:
            wait_until(partial(is_told, service, "quota_store_back"), "Redis", service.explain)


def is_told(service: Service, event: str) -> bool:
    """Asks, which is when a front finds out about Redis, unless it knows already that nothing is left."""
    assert service.predict(0.0).status in (200, 429), "with or without Redis, clients are answered"
    return bool(service.lines(event))


def test_a_supervisor_that_is_stopped_has_nobody_wait_for_long(tmp_path: Path) -> None:
    publish(tmp_path / "m", "1")
    with serving(tmp_path / "m", "--quota-requests", "10/min", cwd=tmp_path) as service:
        assert service.predict(0.0).status == 200
        service.process.send_signal(signal.SIGSTOP)
        try:
            answers = [service.predict(0.0) for _ in range(2)]
        finally:
            service.process.send_signal(signal.SIGCONT)
        assert [(answer.status, answer.body["code"]) for answer in answers] == [(503, "quota_unknown")] * 2
        wait_until(lambda: service.predict(0.0).status == 200, "an answer", service.explain)
