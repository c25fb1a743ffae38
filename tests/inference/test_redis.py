"""Redis at its worst: who asks it never waits for longer than was configured, and is never given another's answer."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from penstock import config
from penstock.config import Logs
from penstock.inference import redis
from penstock.inference.redis import Redis, RedisAway, RedisRefused
from penstock.observability.logs import Log, open_log
from penstock.observability.metrics import Figures
from tests.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.needs("redis-server", "hiredis")]

SLOW_MS = 10_000.0  # for what is to be answered however busy the machine is


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


class Desk:
    """A Redis as a front has it, and what it says in the log."""

    def __init__(self, folder: Path, url: str, timeout_ms: float) -> None:
        self._path = folder / "front.log"
        self._log: Log = open_log(Logs(file=str(self._path), format="json"), "front")
        self._settings = config.Redis(url=url, timeout_ms=timeout_ms)
        self.figures = Figures()
        self.redis = self.connect()

    def connect(self) -> Redis:
        """Another connection of the same front."""
        return Redis(self._settings, "a test", self._log, self.figures)

    def live(self) -> float:
        """Connections, by the figures."""
        ((_, (live,)),) = self.figures.snapshot()["gauges"]["penstock_redis_live"]
        return float(live)

    def failures(self) -> float:
        """Times that a connection was lost or could not be made."""
        counted = self.figures.snapshot()["counters"].get("penstock_redis_failures_total", [])
        return float(sum(times for _, (times,) in counted))

    def close(self) -> None:
        self.redis.close()
        self._log.close()

    def events(self) -> list[str]:
        return [line["event"] for line in self.lines()]

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []


@asynccontextmanager
async def desk(folder: Path, url: str, timeout_ms: float = SLOW_MS) -> AsyncIterator[Desk]:
    desk = Desk(folder, url, timeout_ms)
    try:
        await desk.redis.tried.wait()
        yield desk
    finally:
        desk.close()


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 # nothing tells of it
            await asyncio.sleep(0.01)


async def test_what_is_asked_is_answered_in_order(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url) as at:
        assert await at.redis.ask("SET", "a", b"\x00\xff") == b"OK"
        assert await at.redis.ask("GET", "a") == b"\x00\xff"
        assert await at.redis.ask("GET", "b") is None
        assert await at.redis.ask("INCRBY", "n", 2) == 2
        assert await at.redis.ask("MGET", "a", "b") == [b"\x00\xff", None]
        assert at.redis.is_here


async def test_what_is_asked_in_one_turn_travels_together(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url) as at:
        before = server.ask("INFO", "stats")
        answers = await asyncio.gather(*[at.redis.ask("INCR", "n") for _ in range(1000)])
        assert answers == list(range(1, 1001))
        assert reads(server.ask("INFO", "stats")) - reads(before) < 20


def reads(info: bytes) -> int:
    return next(int(line[22:]) for line in info.decode().splitlines() if line.startswith("total_reads_processed:"))


async def test_an_error_of_redis_concerns_who_asked_for_it(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url) as at:
        wrong, right = at.redis.ask("INCR", "a", "b"), at.redis.ask("SET", "a", 1)
        with pytest.raises(RedisRefused, match=r"^ERR$"):
            await wrong
        assert await right == b"OK"
        await until(lambda: at.events() == ["redis_refused"])
        with pytest.raises(RedisRefused):
            await at.redis.ask("INCR", "a", "b")
        assert at.events() == ["redis_refused"], "told once, and not for each"


async def test_a_frozen_redis_is_waited_for_once_and_then_nobody_waits(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url, timeout_ms=200) as at:
        server.freeze()
        asked = [at.redis.ask("GET", "a") for _ in range(100)]
        began = asyncio.get_running_loop().time()
        results = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(result) for result in results} == {RedisAway}
        assert asyncio.get_running_loop().time() - began < 5, "one time-out for all of them"
        assert at.redis.ask("GET", "a").done(), "who asks now hears so at once"
        server.thaw()
        await until(lambda: at.redis.is_here)
        assert await at.redis.ask("PING") == b"PONG"
        await until(lambda: at.events() == ["redis_away", "redis_back"])


async def test_a_process_that_was_held_up_itself_does_not_blame_redis(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url, timeout_ms=100) as at:
        server.freeze()
        answer = at.redis.ask("GET", "a")
        loop = asyncio.get_running_loop()
        ours, other = socket.socketpair()
        loop.add_reader(ours, partial(hold_up, server, ours))
        loop.call_later(0.01, other.send, b"x")  # by then the question is out
        assert await answer is None
        ours.close()
        other.close()


def hold_up(server: RedisServer, ours: socket.socket) -> None:
    """Redis answers in time, and this process does something else for longer than the answer may take."""
    asyncio.get_running_loop().remove_reader(ours)
    server.thaw()
    time.sleep(0.3)


async def test_it_comes_back_after_a_restart_and_has_lost_what_it_had(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "QUIET_S", 0.0)
    async with desk(tmp_path, server.url) as at:
        await at.redis.ask("SET", "a", 1)
        for _ in range(3):
            server.stop()
            await until(lambda: not at.redis.is_here)
            with pytest.raises(RedisAway):
                await at.redis.ask("GET", "a")
            server.start()
            await until(lambda: at.redis.is_here)
            assert await at.redis.ask("GET", "a") is None
        await until(lambda: at.events() == ["redis_away", "redis_back"] * 3)


async def test_no_answer_reaches_another_whatever_becomes_of_the_connection(
    server: RedisServer, tmp_path: Path
) -> None:
    """Frozen and thawed at random, so that answers come late: each is that of its own question, or none."""
    draw = random.Random(7)
    right = away = 0
    async with desk(tmp_path, server.url, timeout_ms=100) as at:
        for round_ in range(30):
            asked = [(n, at.redis.ask("ECHO", f"{round_}-{n}")) for n in range(50)]
            if draw.random() < 0.3:
                server.freeze()
                asyncio.get_running_loop().call_later(draw.choice([0.01, 0.3]), server.thaw)
            if draw.random() < 0.3:
                asked[draw.randrange(50)][1].cancel()
            for n, answer in asked:
                try:
                    assert await answer == f"{round_}-{n}".encode()
                    right += 1
                except (RedisAway, asyncio.CancelledError):
                    away += 1
            server.thaw()
            await until(lambda: at.redis.is_here)
    assert right > 100
    assert away > 0


async def test_a_wrong_password_is_told_without_the_password(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--requirepass", "right") as server:
        host = f"127.0.0.1:{server.port}"
        async with desk(tmp_path, f"redis://:wrong-one@{host}") as at:
            with pytest.raises(RedisAway):
                await at.redis.ask("GET", "a")
            await until(lambda: at.events() == ["redis_away"])
            (told,) = at.lines()
            assert "WRONGPASS" in told["reason"]
            assert (told["host"], "wrong-one" in json.dumps(told)) == (host, False)
        async with desk(tmp_path, f"redis://:right@{host}/3") as at:
            assert await at.redis.ask("SET", "a", 1) == b"OK"
        assert server.ask("INFO", "keyspace", password="right").count(b"db3:keys=1") == 1


async def test_what_knows_no_passwords_is_told_without_the_password(tmp_path: Path) -> None:
    """It repeats what it was asked, and that is not for the log."""
    with redis_server(tmp_path, "--rename-command", "AUTH", "") as server:
        async with desk(tmp_path, f"redis://:hunter2@127.0.0.1:{server.port}") as at:
            await until(lambda: "redis_away" in at.events())
            assert "hunter2" not in json.dumps(at.lines())


async def test_whatever_keeps_a_connection_from_being_made_is_an_outage_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise UnicodeError("label too long")

    monkeypatch.setattr(redis, "_Line", refuse)
    async with desk(tmp_path, "redis://127.0.0.1:1") as at:
        await until(lambda: at.events() == ["redis_away"])


async def test_what_is_not_redis_is_away(tmp_path: Path) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(babble, "127.0.0.1", 0) as other,
        desk(tmp_path, f"redis://127.0.0.1:{other.sockets[0].getsockname()[1]}") as at,
    ):
        with pytest.raises(RedisAway):
            await at.redis.ask("GET", "a")
        await until(lambda: at.events() == ["redis_away"])
        assert at.lines()[0]["reason"] == "what answers is not Redis"


async def test_an_answer_without_end_ends_the_connection(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "MOST_UNREAD", 2**20)
    server.ask("SET", "huge", b"x" * 2**23)
    async with desk(tmp_path, server.url) as at:
        with pytest.raises(RedisAway, match="too large"):
            await at.redis.ask("GET", "huge")
        await until(lambda: at.redis.is_here)


async def test_more_than_can_wait_is_refused(
    server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "MOST_WAITING", 10)
    async with desk(tmp_path, server.url) as at:
        results = await asyncio.gather(*[at.redis.ask("PING") for _ in range(15)], return_exceptions=True)
        assert [type(result) for result in results] == [bytes] * 10 + [RedisAway] * 5


async def test_a_socket_of_unix_will_do(tmp_path: Path) -> None:
    with redis_server(tmp_path, "--unixsocket", str(tmp_path / "redis.sock")):
        async with desk(tmp_path, f"unix://{tmp_path}/redis.sock?db=2") as at:
            assert await at.redis.ask("PING") == b"PONG"


async def test_the_connections_of_a_front_are_counted_each(server: RedisServer, tmp_path: Path) -> None:
    async with desk(tmp_path, server.url) as at:
        other = at.connect()
        await other.tried.wait()
        both = at.live()
        other.close()
        assert (both, at.live()) == (2, 1)
        server.stop()
        await until(lambda: not at.redis.is_here)
        assert at.live() == 0
        await until(lambda: at.failures() >= 2)
        assert at.live() == 0, "what was not there cannot go"
        server.start()
        await until(lambda: at.redis.is_here)
        assert at.live() == 1


class Sluggish:
    """Takes connections and answers PING at once, and anything else only once it is `well`."""

    def __init__(self) -> None:
        self.well = False
        self.met: list[float] = []
        """When each connection was made."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met.append(asyncio.get_running_loop().time())
        while words := await reader.read(65536):
            writer.write(b"+PONG\r\n" * words.count(b"PING"))
            if self.well:
                writer.write(b"$-1\r\n" * words.count(b"GET"))
        writer.close()


@asynccontextmanager
async def beside_a_sluggish_one(folder: Path) -> AsyncIterator[tuple[Sluggish, Desk]]:
    sluggish = Sluggish()
    server = await asyncio.start_server(sluggish.serve, "127.0.0.1", 0)
    async with server, desk(folder, f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}", 200) as at:
        yield sluggish, at


async def is_slow(at: Desk) -> None:
    """It is there once more, and does not answer."""
    await until(lambda: at.redis.is_here)
    before = at.failures()
    with pytest.raises(RedisAway):
        await at.redis.ask("GET", "a")
    await until(lambda: at.failures() > before)


async def test_one_that_takes_connections_and_is_too_slow_for_more_is_told_of_once_and_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "QUIET_S", 3600.0)
    monkeypatch.setattr(redis, "LONGEST_PAUSE_S", 0.8)
    async with beside_a_sluggish_one(tmp_path) as (sluggish, at):
        for _ in range(5):
            await is_slow(at)
        await until(lambda: len(sluggish.met) == 6)
        assert sluggish.met[5] - sluggish.met[4] >= 0.8, "the pauses grow"
        assert at.events() == ["redis_away", "redis_back", "redis_away"]


async def test_one_that_came_and_went_is_back_when_it_has_held_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis, "QUIET_S", 1.0)
    async with beside_a_sluggish_one(tmp_path) as (sluggish, at):
        await is_slow(at)
        await is_slow(at)
        sluggish.well = True
        await until(lambda: at.redis.is_here)
        assert await at.redis.ask("GET", "a") is None
        await until(lambda: at.events() == ["redis_away", "redis_back"] * 2)
        assert at.redis.is_here
