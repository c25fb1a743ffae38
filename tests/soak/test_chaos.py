"""Everything at once: fronts and hosts killed and stopped, clients that vanish or dawdle, signals to roll.

Whoever is answered is answered right; each failure has its reason in the log (verdict.py says which will do); and
afterwards all is as it was before.
"""

import asyncio
import contextlib
import http.client
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop

from tests.acceptance.driver import Service, alive, children_of, serving
from tests.soak.clients import Crowd
from tests.soak.models import echo
from tests.soak.storm import Storm
from tests.soak.timeline import Timeline, events
from tests.soak.verdict import PREDICT_TIMEOUT_S, SLOW_S, unexplained

CONFIGURATION = f"""
server: {{workers: 2}}
limits: {{header_s: {SLOW_S}, body_s: {SLOW_S}}}
drain: {{linger_s: 1, finish_s: 5}}
models:
  echo: {{path: echo.onnx, replicas: 2, predict_timeout_s: {PREDICT_TIMEOUT_S}, start_timeout_s: 10}}
"""
ROLLS = ("fronts_rolling", "fronts_rolled", "front_not_replaced")  # the last two end what the first begins
BACK_S = 90.0  # the longest back-off is a minute


@pytest.mark.soak
def test_every_answer_is_right_and_every_failure_has_its_reason(
    tmp_path: Path, scale: Callable[[int, int], int]
) -> None:
    echo(tmp_path / "echo.onnx")
    (tmp_path / "penstock.yaml").write_text(CONFIGURATION)
    with serving("--config", "penstock.yaml", cwd=tmp_path) as service:
        crowd, storm = run(service, seconds=scale(8, 150), pause_s=scale(1, 2))
        timeline = Timeline(service.log)
        print(storm.done, crowd.record.right, Counter((o.status, o.code) for o in crowd.record.failed))
        assert crowd.record.wrong == []
        failures = unexplained(crowd.record, timeline, storm.fronts_killed)
        assert not failures, "\n\n".join(failures)
        assert min(crowd.record.right[client] for client in ("steady", "slow", "deaf")) > 0
        assert timeline.of("internal_error") == []
        everyone = [service.process.pid, *children_of(service.process.pid)]
        assert len(everyone) == 5
        assert service.end() == 0
        assert not any(map(alive, everyone))


def run(service: Service, seconds: float, pause_s: float) -> tuple[Crowd, Storm]:
    """A storm over a crowd, which stays until the service is whole again."""
    storm = Storm(service, seed=11, pause_s=pause_s)

    async def both() -> Crowd:
        crowd = Crowd(service.port, seed=5)
        clients = asyncio.create_task(crowd.run())
        await asyncio.sleep(0.5)
        await storm.rage(seconds)
        await until_whole(service)
        crowd.stop.set()
        await clients
        return crowd

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(both()), storm


async def until_whole(service: Service) -> None:
    """Two fronts that none is about to replace, and two replicas."""
    until = time.monotonic() + BACK_S
    while not await asyncio.to_thread(is_whole, service):
        assert time.monotonic() < until, f"not everything came back\n{service.explain()}"
        await asyncio.sleep(0.2)


def is_whole(service: Service) -> bool:
    fronts, hosts = service.processes("front"), service.processes("host")
    if len(fronts) != 2 or len(hosts) != 2 or any(map(stopped, [*fronts, *hosts])):
        return False
    rolls = [line["event"] for line in events(service.log) if line["event"] in ROLLS]
    if rolls[-1:] == ["fronts_rolling"]:
        return False
    with contextlib.suppress(OSError, http.client.HTTPException):
        return [version["live"] for version in service.get("/models/echo").body["versions"]] == [2]
    return False


def stopped(pid: int) -> bool:
    """Whether it is, or is gone."""
    with contextlib.suppress(OSError):
        return "State:\tT" in Path(f"/proc/{pid}/status").read_text()
    return True
