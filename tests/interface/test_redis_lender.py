"""Quotas in Redis: the script is the bucket, whoever has written there; and without Redis the supervisor is asked."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock import config
from penstock.config import Allowance, Logs
from penstock.inference.redis import Redis
from penstock.interface.lenders import Granted
from penstock.interface.redis_lender import SCRIPT, RedisLender
from penstock.model.bucket import LAPSE_S, Bucket, Grant
from penstock.model.control import Demand
from penstock.model.quota import Limit, Quotas
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures
from tests.model.test_bucket import SLACK, STEPS, Borrowers, limit, passed
from tests.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.needs("redis-server", "hiredis")]

CLIENT = "address:192.0.2.1"
KEY = f"penstock:quota:{{requests:{CLIENT}}}"
AT_TIMES = SCRIPT.replace("redis.call('TIME')", "{1000000000, tonumber(ARGV[#ARGV])}; table.remove(ARGV)")
"""The script with a clock that stands where it is told to."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


# ------------------------------------------------------------------ the script
class ScriptedBucket:
    """The bucket of the script."""

    def __init__(self, server: RedisServer, of: Limit) -> None:
        server.ask("FLUSHALL")
        self._server = server
        self._limit = of

    def take(self, now: float, who: int, sizes: Sequence[int], block: int, left: int = 0, stamp: int = 0) -> Grant:
        words = (repr(self._limit.rate), self._limit.burst, block, left, stamp, f"front{who}")
        times = (round(LAPSE_S * 1_000_000), 5_000)
        said = self._server.ask("EVAL", AT_TIMES, 1, KEY, *words, *times, *sizes, round(now * 1_000_000))
        room, lent, stamp, level, wait_us = said
        return Grant(room, lent, stamp, level, wait_us / 1_000_000)


@settings(max_examples=60)
@given(rate=st.sampled_from([0.5, 20.0, 300.0]), burst=st.sampled_from([1, 4, 12, 40]), steps=STEPS)
def test_the_script_lets_nobody_spend_more_than_the_burst_and_what_has_come_since(
    server: RedisServer, rate: float, burst: int, steps: list[tuple[object, ...]]
) -> None:
    of = limit(rate, burst)
    borrowers = Borrowers(of, ScriptedBucket(server, of))
    borrowers.play(steps)
    assert borrowers.most_over() <= SLACK + rate * 1e-6


def test_the_script_lends_takes_back_and_says_how_long_to_wait(server: RedisServer) -> None:
    bucket = ScriptedBucket(server, limit(10, 20))
    lent = bucket.take(0.0, 1, [1], 5)
    assert (passed(lent, [1]), lent.lent, lent.level) == ([1], 5, 14)
    assert bucket.take(0.9, 2, [], 0).level == 15, "full but for the five that may still be spent"
    back = bucket.take(0.9, 1, [1], 0, left=3, stamp=lent.stamp)
    assert (passed(back, [1]), back.lent, back.level) == ([1], 0, 17)
    assert passed(bucket.take(0.9, 2, [17], 0), [17]) == [17]
    assert bucket.take(0.9, 2, [3], 0).wait_s == pytest.approx(0.3)
    assert passed(bucket.take(9.0, 1, [20], 0), [20]) == [20]


def test_the_script_passes_over_what_is_too_large_as_the_bucket_does(server: RedisServer) -> None:
    of, sizes = limit(10, 1000), [700, 1, 400, 900, 1, 1]
    for bucket in (ScriptedBucket(server, of), Bucket(of, 0.0)):
        bucket.take(0.0, 2, [500], 0)
        grant = bucket.take(0.0, 1, sizes, 40)
        assert passed(grant, sizes) == [1, 400, 1, 1]
        assert (grant.lent, grant.level) == (0, 97)
        assert grant.wait_s == pytest.approx((700 - 97) / 10)


@pytest.mark.parametrize(
    "write",
    [
        ("SET", KEY, "nonsense"),
        ("LPUSH", KEY, "nonsense"),
        ("HSET", KEY, "level", "nan", "at", "nan"),
        ("HSET", KEY, "level", "1e308", "at", "-inf"),
        ("HSET", KEY, "level", "-1e9"),
        ("HSET", KEY, "level", "-inf", "at", "1e300"),
        ("HSET", KEY, "level", "-1e300", "at", "1000000000000000"),
        ("HSET", KEY, "level", "plenty", "at", b"\xff\x00"),
        ("HSET", KEY, "someone", "9999999 99999999999999999", "another", "9", "\n", "4 99999999999999999999"),
        ("HSET", KEY, *[word for n in range(3000) for word in (f"f{n}", "1 1")]),
        ("HSET", KEY, *[word for n in range(500) for word in (f"f{n}", "10 99999999999999999")]),
        ("HSET", KEY, "one", "15 99999999999999999", "none", "0 99999999999999999"),
    ],
    ids=["text", "list", "nan", "huge", "negative", "-inf", "-1e300", "words", "loans", "many", "all", "large"],
)
def test_what_somebody_else_has_written_does_no_harm(server: RedisServer, write: tuple[Any, ...]) -> None:
    bucket = ScriptedBucket(server, limit(1, 20))
    server.ask(*write)
    first = bucket.take(0.0, 1, [1] * 30, 0)
    assert first.room in (16, 20), "all of it, but for the four that look as if they were lent"
    assert first.wait_s == 1
    assert bucket.take(5.0, 1, [1] * 30, 0).room in (5, 9)
    assert server.ask("HLEN", KEY) <= 3
    assert 0 < server.ask("PTTL", KEY) <= 30_000


# ------------------------------------------------------------------ the lender
class Supervisor:
    """Grants everything, and counts how much."""

    def __init__(self) -> None:
        self.granted = 0

    def ask(self, demands: Sequence[Demand], granted: Granted) -> None:
        self.granted += sum(len(demand.sizes) for demand in demands)
        granted([Grant(sum(demand.sizes)) for demand in demands])


class Machine:
    """A front's lender, and what the front has in its log."""

    def __init__(self, folder: Path, server: RedisServer, said: Allowance) -> None:
        self._path = folder / "front.log"
        self._log = open_log(Logs(file=str(self._path), format="json"), "front")
        self.figures = Figures()
        slow = config.Redis(url=server.url, timeout_ms=10_000)
        self.redis = Redis(slow, "quotas", self._log, self.figures)
        self.supervisor = Supervisor()
        self.lender = RedisLender(self.redis, Quotas(said), 1, self.supervisor, self._log, self.figures)

    async def ask(self, *demands: Demand) -> Sequence[Grant]:
        answer: asyncio.Future[Sequence[Grant]] = asyncio.get_running_loop().create_future()
        self.lender.ask(demands, answer.set_result)
        return await asyncio.wait_for(answer, 30)

    async def take(self, *sizes: int, client: str = CLIENT) -> Grant:
        (grant,) = await self.ask(Demand(client, "requests", sizes))
        return grant

    async def events(self, *expected: str) -> None:
        """Waits for the log to say of quotas what is expected, and nothing else."""
        async with asyncio.timeout(10):
            while (told := self._events()) != list(expected):
                assert len(told) <= len(expected), told
                await asyncio.sleep(0.01)

    def _events(self) -> list[str]:
        lines = self._path.read_text().splitlines()
        return [event for event in (json.loads(line)["event"] for line in lines) if event.startswith("quota")]

    def close(self) -> None:
        self.redis.close()
        self._log.close()


@asynccontextmanager
async def machine(folder: Path, server: RedisServer, **said: Any) -> AsyncIterator[Machine]:
    server.ask("FLUSHALL")
    made = Machine(folder, server, Allowance(**said))
    try:
        await made.redis.tried.wait()
        yield made
    finally:
        made.close()


async def test_each_demand_is_answered_in_its_place(server: RedisServer, tmp_path: Path) -> None:
    async with machine(tmp_path, server, requests="3/min", rows="5/min") as front:
        grants = await front.ask(
            Demand("key:a", "requests", (1, 1, 1, 1)),
            Demand("key:a", "rows", (2, 2)),
            Demand("key:b", "requests", (1,)),
        )
        assert [(grant.room, grant.level) for grant in grants] == [(3, 0), (5, 1), (3, 2)]
        assert grants[0].wait_s == pytest.approx(20, abs=1)
        assert front.supervisor.granted == 0


async def test_a_script_that_redis_has_forgotten_is_told_again(server: RedisServer, tmp_path: Path) -> None:
    async with machine(tmp_path, server, requests="9/min") as front:
        for left in (8, 7):
            server.ask("SCRIPT", "FLUSH")
            assert (await front.take(1)).level == left
        evaluated = server.calls("eval")
        assert (await front.take(1)).level == 6
        assert server.calls("eval") == evaluated, "its digest is enough"


async def test_without_redis_the_supervisor_is_asked_and_the_log_says_so_once(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with machine(tmp_path, server, requests="2/min") as front:
            assert (await front.take(1, 1, 1)).room == 2
            server.stop()
            for _ in range(3):
                assert (await front.take(1)).room == 1
            assert front.supervisor.granted == 3
            server.start()
            async with asyncio.timeout(30):
                while not front.redis.is_here:  # noqa: ASYNC110 # nothing tells of it
                    await asyncio.sleep(0.01)
            assert (await front.take(1, 1, 1)).room == 2
            await front.events("quota_store_away", "quota_store_back")
            counted = front.figures.snapshot()["counters"]["penstock_quota_store_failures_total"]
            assert counted == [[[], [3]]]


async def test_who_did_not_ask_redis_does_not_say_that_it_is_back(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with machine(tmp_path, server, requests="2/min") as front:
            server.stop()
            await front.take(1)
            grants = await front.ask(Demand(CLIENT, "rows", (3, 4)))
            assert grants[0].verdicts((3, 4)) == [True, True], "of rows it has no quota any more"
            await front.take(1)
            await front.events("quota_store_away")


async def test_a_redis_that_refuses_is_as_good_as_none(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with machine(tmp_path, server, requests="2/min") as front:
            server.ask("CONFIG", "SET", "maxmemory", "1")
            assert (await front.take(1, 1, 1)).room == 3
            assert front.supervisor.granted == 3
            await front.events("quota_store_away")


async def test_several_machines_together_are_granted_what_one_would_be(server: RedisServer, tmp_path: Path) -> None:
    """Each spends all that it is lent at once."""
    folders = [tmp_path / name for name in "abc"]
    for folder in folders:
        folder.mkdir()
    said = {"requests": "1000/s", "requests_burst": 100}
    async with (
        machine(folders[0], server, **said) as a, machine(folders[1], server, **said) as b,
        machine(folders[2], server, **said) as c,
    ):  # fmt: skip
        spent = 0
        began = time.monotonic()
        while time.monotonic() < began + 0.5:
            for grant in await asyncio.gather(*(each.take(1, 1, 1, 1) for each in (a, b, c))):
                spent += len(passed(grant, [1, 1, 1, 1])) + grant.lent
        assert 100 < spent <= 100 + 1000 * (time.monotonic() - began)
