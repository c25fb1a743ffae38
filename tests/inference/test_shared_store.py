"""Answers in a real Redis: shared by all who serve the same, by nobody else, and missed without harm."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from penstock import config
from penstock.config import Logs
from penstock.inference import redis as line
from penstock.inference.redis import Redis
from penstock.inference.row_answers import Columns, RowAnswer
from penstock.inference.row_format import LARGEST, RowFormat
from penstock.inference.shared_store import MOST_TOGETHER, MOST_UNANSWERED, SharedStore, identity
from penstock.model.certificate import Certificate
from penstock.model.control import Loaded
from penstock.model.signature import Field, Output, OutputField, Signature
from penstock.observability.caching import CacheMeter
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures
from tests.redis_server import RedisServer, redis_server

pytestmark = [pytest.mark.anyio, pytest.mark.needs("redis-server", "hiredis")]

SIGNATURE = Signature(
    inputs=(Field(name="a"),), output=Output(fields=(OutputField(name="y", dtype="int64"), OutputField(name="z")))
)
LOADED = Loaded(signature=SIGNATURE, sha256="0" * 64, bytes=1, runtime="onnx", device="cpu", beside={"/x/s.pkl": "1"})
ANSWER: RowAnswer = (None, None, None, 7, 0.5)
ANSWERS: Columns = [[part] for part in ANSWER]


class Shelf:
    """The store of one front."""

    def __init__(self, redis: Redis, loaded: Loaded = LOADED, ttl_s: float = 60.0) -> None:
        self.redis = redis
        self.meter = CacheMeter(Figures(), "m", "1")
        form = RowFormat(loaded.signature)
        self.store = SharedStore(redis, identity("m", "1", loaded), ttl_s, form, self.meter)

    async def find(self, *keys: bytes) -> Sequence[RowAnswer | None]:
        found: asyncio.Future[Sequence[RowAnswer | None]] = asyncio.get_running_loop().create_future()
        self.store.find(keys, False, found.set_result)
        return await found

    async def put(self, key: bytes) -> None:
        self.store.put([key], ANSWERS)
        await self.redis.ask("PING")


@asynccontextmanager
async def connected(folder: Path, url: str, timeout_ms: float = 10_000) -> AsyncIterator[Redis]:
    log = open_log(Logs(file=str(folder / "front.log"), format="json"), "front")
    redis = Redis(config.Redis(url=url, timeout_ms=timeout_ms), "a test", log, Figures())
    try:
        await redis.tried.wait()
        yield redis
    finally:
        redis.close()
        log.close()


def keys_in(server: RedisServer) -> list[bytes]:
    return list(server.ask("KEYS", "*"))


async def test_what_one_front_keeps_another_finds_until_its_time_is_up(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis, connected(tmp_path, server.url) as other:
            await Shelf(redis, ttl_s=90.0).put(b"row")
            assert await Shelf(other).find(b"row", b"no row") == [ANSWER, None]
            (name,) = keys_in(server)
            assert name.startswith(b"penstock:cache:")
            assert 80_000 < server.ask("PTTL", name) <= 90_000


@pytest.mark.parametrize(
    "other",
    [
        replace(LOADED, sha256="1" * 64),
        replace(LOADED, beside={"/x/s.pkl": "2"}),
        replace(LOADED, chain=("1",)),
        replace(LOADED, modules={"features": "1"}),
        replace(LOADED, libraries={"scikit-learn": "1.8"}),
        replace(LOADED, runtime="sklearn"),
        replace(LOADED, certificate=Certificate(verdict="compiled", form="float32", sha256="3")),
        replace(LOADED, signature=replace(SIGNATURE, output=replace(SIGNATURE.output, top_k=2))),
    ],
)
async def test_nothing_of_another_version_is_ever_found(other: Loaded, tmp_path: Path) -> None:
    assert len({identity("m", "1", other), identity("m", "1", LOADED), identity("m", "2", LOADED)}) == 3


async def test_where_the_files_lie_does_not_matter() -> None:
    assert identity("m", "1", replace(LOADED, beside={"/elsewhere/s.pkl": "1"})) == identity("m", "1", LOADED)
    here, there = {"/x/a/t.pkl": "1", "/x/b/t.pkl": "2"}, {"/y/z/b/t.pkl": "2", "/y/z/a/t.pkl": "1"}
    assert identity("m", "1", replace(LOADED, beside=here)) == identity("m", "1", replace(LOADED, beside=there))


async def test_files_of_one_name_that_were_exchanged_are_another_version() -> None:
    beside = {"/x/a/t.pkl": "1", "/x/b/t.pkl": "2"}
    chains = [replace(LOADED, beside=beside, chain=chain) for chain in (("1", "2"), ("2", "1"), ("1", "2", "1"))]
    weights = replace(LOADED, beside={"/x/a/t.pkl": "2", "/x/b/t.pkl": "1"}, chain=("1", "2"))
    assert len({identity("m", "1", loaded) for loaded in (*chains, weights)}) == 4


@pytest.mark.parametrize("hostile", [b"cos\nsystem\n(S'true'\ntR.", b"", b"\x91" * 1000, b"x" * 100_000])
async def test_what_is_no_answer_is_a_miss_and_counted(hostile: bytes, tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            await shelf.put(b"row")
            server.ask("SET", keys_in(server)[0], hostile)
            assert await shelf.find(b"row") == [None]
            assert (shelf.meter.rejected.value, shelf.meter.failures.value) == (1, 0)


async def test_another_rows_answer_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    """Whoever can write there may exchange two of them."""
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            await shelf.put(b"row")
            (name,) = keys_in(server)
            await shelf.put(b"other row")
            (other,) = set(keys_in(server)) - {name}
            server.ask("RENAME", name, other)
            assert await shelf.find(b"other row") == [None]
            assert shelf.meter.rejected.value == 1


async def test_a_key_of_another_kind_is_a_miss(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            await shelf.put(b"row")
            (name,) = keys_in(server)
            server.ask("DEL", name)
            server.ask("LPUSH", name, "x")
            assert await shelf.find(b"row") == [None]


async def test_one_that_does_not_answer_is_waited_for_no_longer_than_its_time(tmp_path: Path) -> None:
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url, timeout_ms=200) as redis:
            shelf = Shelf(redis)
            await shelf.put(b"row")
            server.freeze()
            found: Any = await asyncio.wait_for(shelf.find(b"row"), 10)
            assert (found, shelf.meter.failures.value) == ([None], 1)
            assert not shelf.store.is_here()
            shelf.store.put([b"row"], ANSWERS)
            server.thaw()


async def test_a_batch_is_kept_whole_however_large_it_is(tmp_path: Path) -> None:
    """It is not for its own first rows that the others would make Redis late."""
    rows = 2 * MOST_TOGETHER + MOST_UNANSWERED
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            shelf.store.put([b"%d" % row for row in range(rows)], answers(rows))
            assert redis.unanswered == MOST_TOGETHER, "and yet not all at once"
            await until(lambda: server.ask("DBSIZE") == rows)
            assert unkept(shelf) == (0, 0, 0)


async def test_what_is_not_kept_is_counted_by_what_kept_it_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with redis_server(tmp_path) as server:
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            waiting = [redis.ask("PING") for _ in range(MOST_UNANSWERED)]
            shelf.store.put([b"a", b"b"], answers(2))
            assert unkept(shelf) == (0, 2, 0)
            await asyncio.gather(*waiting)
            long: RowAnswer = (None, None, None, 7, "x" * LARGEST)
            shelf.store.put([b"a", b"b"], [list(parts) for parts in zip(long, ANSWER, strict=True)])
            await redis.ask("PING")
            assert (unkept(shelf), len(keys_in(server))) == ((0, 2, 1), 1)
            monkeypatch.setattr(line, "MOST_WAITING", 1)
            shelf.store.put([b"c", b"d"], answers(2))
            assert unkept(shelf) == (0, 3, 1), "it has room for one"
            server.stop()
            await until(lambda: not redis.is_here)
            shelf.store.put([b"a"], ANSWERS)
            assert unkept(shelf) == (1, 3, 1)
            assert shelf.meter.failures.value == 0, "that is no look-up"


async def test_features_stay_where_answers_have_to_go_for_want_of_room(tmp_path: Path) -> None:
    """As docs/caching.md advises it: whatever Penstock writes has a time to live, and features have none."""
    with redis_server(tmp_path, "--maxmemory", "3mb", "--maxmemory-policy", "volatile-lru") as server:
        server.ask("HSET", "user:u1", "age", 41)
        async with connected(tmp_path, server.url) as redis:
            shelf = Shelf(redis)
            keys: list[bytes] = []
            for batch in range(20):
                keys = [b"%d-%d" % (batch, row) for row in range(MOST_TOGETHER)]
                shelf.store.put(keys, answers(len(keys)))
                await redis.ask("PING")
            assert b"evicted_keys:0\r" not in server.ask("INFO", "stats")
            assert await shelf.find(keys[-1]) == [ANSWER], "there is room for what is new"
            assert server.ask("HGET", "user:u1", "age") == b"41"


def answers(rows: int) -> Columns:
    return [[part] * rows for part in ANSWER]


def unkept(shelf: Shelf) -> tuple[float, float, float]:
    meter = shelf.meter
    return meter.away.value, meter.behind.value, meter.large.value


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 # nothing tells of it
            await asyncio.sleep(0.01)
