"""Redis as a store: a real one, which is there, holds garbage, or has gone."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock import config
from penstock.inference.redis import Redis
from penstock.inference.stores import AWAY, UNREADABLE, Answer
from penstock.inference.stores.hashes import Hashes
from penstock.observability.logs import Log
from penstock.observability.metrics import Figures
from tests.inference.stores.conftest import Told
from tests.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.needs("redis-server")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


@asynccontextmanager
async def hashes(server: RedisServer, log: Log) -> AsyncIterator[Hashes]:
    redis = Redis(config.Redis(url=server.url, timeout_ms=5000), "features", log, Figures())
    try:
        await redis.tried.wait()
        yield Hashes("users", redis, "user:", 5.0, log)
    finally:
        redis.close()


async def looked_up(store: Hashes, entity: str, *fields: str) -> Answer:
    answer = store.look(entity, fields)
    return await answer if isinstance(answer, asyncio.Future) else answer


async def test_an_entity_is_a_hash(server: RedisServer, log: Log) -> None:
    server.ask("HSET", "user:1", "age", "41", "country", "CH", "other", "x")
    async with hashes(server, log) as store:
        assert await looked_up(store, "1", "age", "city", "country") == {
            "age": b"41",
            "city": None,
            "country": b"CH",
        }
        assert await looked_up(store, "1", "city") is None
        assert await looked_up(store, "2", "age") is None


async def test_look_ups_share_a_round_trip_and_entities_an_answer(server: RedisServer, log: Log) -> None:
    async with hashes(server, log) as store:
        before = server.reads()
        answers = [store.look(f"{i % 50}", ("age",)) for i in range(100)]
        await asyncio.gather(*[answer for answer in answers if isinstance(answer, asyncio.Future)])
        assert len(answers) == 100
        assert server.calls("hmget") == 50
        assert server.reads() - before < 10, "and not 50: it was read what all of them asked together"
        await looked_up(store, "1", "age")
        assert server.calls("hmget") == 51


async def test_a_key_that_is_no_hash_holds_values_of_no_field(server: RedisServer, log: Log) -> None:
    server.ask("SET", "user:1", "garbage")
    async with hashes(server, log) as store:
        assert await looked_up(store, "1", "age") == {"age": UNREADABLE}
        assert await looked_up(store, "2", "age") is None, "the connection is as good as before"


async def test_a_redis_that_has_gone_is_away_at_once(server: RedisServer, log: Log) -> None:
    async with hashes(server, log) as store:
        waiting = store.look("1", ("age",))
        server.stop()
        assert isinstance(waiting, asyncio.Future)
        assert await waiting is AWAY or await waiting is None
        async with asyncio.timeout(30):
            while await looked_up(store, "1", "age") is not AWAY:
                pass


async def test_no_key_without_the_prefix_is_ever_read(server: RedisServer, log: Log) -> None:
    server.ask("HSET", "session:1", "token", "x")
    async with hashes(server, log) as store:
        for entity in ("session:1", ":session:1", "*"):
            assert await looked_up(store, entity, "token") is None


async def test_a_redis_that_refuses_is_away_and_told_of_once(tmp_path: Path, log: Log, told: Told) -> None:
    with redis_server(tmp_path) as server:
        server.ask("ACL", "SETUSER", "default", "-hmget")
        async with hashes(server, log) as store:
            for entity in ("secret", "other"):
                assert await looked_up(store, entity, "age") is AWAY
    (line,) = [line for line in told() if line["event"] == "store_failed"]
    assert (line["store"], line["reason"]) == ("users", "Redis refuses to be asked: NOPERM")
