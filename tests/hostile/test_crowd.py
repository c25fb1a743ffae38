"""Five hundred slow sockets, and more connections than there are descriptors: whoever asks properly is served."""

import asyncio
import json
import os
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance.driver import SERVE, Service, wait_until
from tests.hostile.crowd import Crowd
from tests.hostile.served import hostile_service, train
from tests.hostile.wire import answers

pytestmark = pytest.mark.anyio

SLACK_S = 20.0  # for a busy machine, on which the work before an answer counts too; the limits are 1 s
FEW = 256
LIMITED = (
    f"import os, resource as r, sys; r.setrlimit(r.RLIMIT_NOFILE, ({FEW}, {FEW})); os.execv(sys.argv[1], sys.argv[1:])"
)
WITH_FEW_DESCRIPTORS = (sys.executable, "-c", LIMITED)


async def good_client(port: int, stop: asyncio.Event, got: list[float]) -> None:
    """Asks without pause on one connection, and insists on its own answers."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    n = 0
    while not stop.is_set():
        n += 1
        body = b'{"features":[%d,%d]}' % (n % 1000, n % 7)
        writer.write(
            b"POST /models/sum/predict HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n" % len(body) + body
        )
        (answer,), _ = answers(await reader.readuntil(b"}"))
        assert answer.status == 200
        assert abs(json.loads(answer.body)["prediction"] - (n % 1000 + 2 * (n % 7))) < 1e-6
        got.append(time.monotonic())
        await asyncio.sleep(0.005)
    writer.close()


async def test_five_hundred_slow_sockets_are_ended_in_time_and_disturb_nobody(tmp_path: Path) -> None:
    with hostile_service(tmp_path, "--limits-header-s", "1", "--limits-body-s", "1", "--limits-send-s", "1") as (
        service,
        _,
    ):
        (front,) = service.processes("front")
        before = descriptors(front)
        stop, got = asyncio.Event(), list[float]()
        good = [asyncio.create_task(good_client(service.port, stop, got)) for _ in range(4)]
        crowd = Crowd(service.port, each=100)
        await asyncio.wait_for(crowd.come_and_go(), 60)
        stop.set()
        await asyncio.gather(*good)
        assert {kind: len(lives) for kind, lives in crowd.lived.items()} == {kind.__name__: 100 for kind in crowd.kinds}
        for kind, lives in crowd.lived.items():
            assert min(lives) > 0.9, f"{kind} was not given its time"
            assert max(lives) < 1 + SLACK_S, f"{kind} was held for {max(lives):.1f} s"
        assert len(got) > 100
        wait_until(lambda: descriptors(front) <= before, "the descriptors of before", service.explain)


def test_more_connections_than_descriptors_leave_health_and_those_who_are_there_alone(tmp_path: Path) -> None:
    arguments = [
        str(train(tmp_path)[0]),
        "--limits-header-s",
        "30",
        "--limits-idle-s",
        "60",
    ]
    service = Service(*arguments, cwd=tmp_path, program=(*WITH_FEW_DESCRIPTORS, *SERVE))
    with ExitStack() as stack:
        stack.callback(service.close)
        (front,) = service.processes("front")
        crowd = [stack.enter_context(socket.create_connection(("127.0.0.1", service.port))) for _ in range(3 * FEW)]
        for _ in range(20):
            began = time.monotonic()
            assert service.get("/health").status == 200
            assert time.monotonic() - began < SLACK_S
            assert descriptors(front) < FEW
        refused = service.predict(1, 2)
        assert (refused.status, refused.body["code"]) == (503, "too_many_connections")
        assert refused.headers["retry-after"] == "1"
        assert service.get("/metrics").status == 200
        request = b"GET /ready HTTP/1.1\r\nhost: x\r\n\r\n"
        crowd[0].sendall(request)
        assert crowd[0].recv(12) == b"HTTP/1.1 200", "who came first has a place"
        for client in crowd:
            client.close()
        wait_until(lambda: service.predict(1, 2).status == 200, "room again", service.explain)
        assert service.processes("front") == [front]
        assert {line["event"] for line in service.lines() if line["level"] == "error"} <= {"prediction"}


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
