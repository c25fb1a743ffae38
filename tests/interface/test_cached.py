"""What a client sees of answers that are kept, and what is said of them in the log and the figures."""

import asyncio
import gc
import json
from pathlib import Path
from typing import Any

import pytest

from penstock.config import Cache, Model
from penstock.observability import catalog
from penstock.observability.comparisons import TrialMeter
from tests.interface.test_lane import LEFT, ROW, World, in_flight, lines, post, timeless, until, world

pytestmark = pytest.mark.anyio

CACHED = Model(path="x", cache=Cache(mode="on"))
SEVERAL = b'{"batch":[[1,2],[4,2],[4,2],[5,1]]}'


async def ask(front: World, request: bytes) -> tuple[str | None, str | None, Any]:
    """What X-Cache and X-Cache-Rows say, and the answer."""
    head, _, body = (await front.send(request)).partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    said = [fields[name].decode() if name in fields else None for name in (b"x-cache", b"x-cache-rows")]
    return said[0], said[1], timeless(json.loads(body))


async def test_the_headers_say_how_much_was_kept(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        first = await ask(front, post("/predict", ROW))
        again = await ask(front, post("/models/m/predict", b'{"features":{"b":2,"a":1}}'))
        several = await ask(front, post("/predict-batch", SEVERAL))
        assert (first[:2], again[:2], several[:2]) == (("miss", None), ("hit", None), ("miss", "1/4"))
        assert first[2] == again[2]
        assert (await ask(front, post("/predict-batch", SEVERAL))) == ("hit", "4/4", several[2])
        assert [flight.rows for flight in front.host.sent] == [1, 2]


async def test_where_nothing_is_kept_nothing_is_said_of_it(tmp_path: Path) -> None:
    async with world(tmp_path) as front:
        assert (await ask(front, post("/predict", ROW)))[:2] == (None, None)
        await until(lambda: len(lines(front.log)) == 1)
        assert "cached_rows" not in lines(front.log)[0]


@pytest.mark.parametrize(
    ("said", "asked", "kept"),
    [
        (b"no-cache", True, True),
        (b"No-Cache, max-age=0", True, True),
        (b"max-age=0,no-store", True, False),
        (b"no-store, no-cache", True, False),
        (b"max-age=60", False, True),
        (b"no-cached", False, True),
        (b"no-store\r\ncache-control: max-age=0", True, False),
        (b"no-cache\r\ncache-control: max-age=0", True, True),
        (b"max-age=0\r\nCache-Control: No-Store", True, False),
    ],
)
async def test_who_asks_for_a_new_answer_gets_one(tmp_path: Path, said: bytes, asked: bool, kept: bool) -> None:
    async with world(tmp_path, model=CACHED) as front:
        first = await ask(front, post("/predict", ROW, b"cache-control: " + said))
        assert first[0] == ("bypass" if asked else "miss")
        assert (await ask(front, post("/predict", ROW)))[0] == ("hit" if kept else "miss")


async def test_it_is_the_same_through_asgi(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        answers = [await front.through_asgi(post("/predict", ROW)) for _ in range(2)]
        assert answers[0] == answers[1] == (200, answers[0][1])
        assert len(front.host.sent) == 1


async def test_pipelined_hits_and_misses_are_answered_in_their_order(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        await front.send(post("/predict", b'{"features":[1,0]}'))
        requests = [post("/predict", b'{"features":[%d,0]}' % (n % 3), b"x-request-id: r%d" % n) for n in range(12)]
        answers = (await front.send(*requests)).split(b"HTTP/1.1 ")[1:]
        assert [answer.split(b"x-request-id: ")[1].split()[0] for answer in answers] == [b"r%d" % n for n in range(12)]
        assert [b'"yes"' in answer for answer in answers] == [n % 3 == 1 for n in range(12)]


async def test_the_log_and_the_figures_tell_what_was_kept(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        await front.send(post("/predict", ROW))
        await front.send(post("/predict-batch", SEVERAL))
        await front.send(post("/predict", ROW, b"cache-control: no-store"))
        await until(lambda: len(lines(front.log)) == 3)
        assert [line["cached_rows"] for line in lines(front.log)] == [0, 1, 0]
        taken = front.figures.snapshot()
        counted = {labels[-1]: n for labels, (n,) in taken["counters"][catalog.CACHE_ROWS.name]}
        assert counted == {"hit": 1, "miss": 3, "shared": 1, "bypass": 1}
        ((_, (saved,)),) = taken["counters"][catalog.CACHE_SAVED.name]
        live, held = (taken["gauges"][metric.name][0][1] for metric in (catalog.CACHE_LIVE, catalog.CACHE_HELD_ROWS))
        assert saved > 0
        assert (live, held) == ([1], [3])


async def test_only_what_the_model_was_asked_for_counts_in_a_trial(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        front.served.trial = TrialMeter(front.figures, "m", "2", "default")
        for _ in range(3):
            await front.send(post("/predict", ROW))
        await until(lambda: len(lines(front.log)) == 3)
        taken = front.figures.snapshot()
        ((_, (_, *buckets)),) = taken["histograms"][catalog.TRIAL_DURATION.name]
        assert sum(buckets) == 1


async def test_whoever_goes_away_takes_nothing_from_who_waits_for_the_same(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        assert front.working is not None
        front.working.cancel()
        _, first = await asyncio.open_connection("127.0.0.1", front.port)
        first.write(post("/predict", b'{"features":[9,9]}'))
        await until(lambda: bool(front.host.flight))
        _, leaving = await asyncio.open_connection("127.0.0.1", front.port)
        leaving.write(post("/predict", ROW))
        await until(lambda: in_flight(front) == 2)
        waiting = asyncio.create_task(ask(front, post("/predict", ROW)))
        await until(lambda: in_flight(front) == 3)
        leaving.close()
        await until(lambda: in_flight(front) == 2)
        front.working = asyncio.create_task(front.work())
        assert (await waiting)[2]["prediction"] == "yes"
        first.close()


async def test_what_a_hit_leaves_behind_is_freed_without_the_collector(tmp_path: Path) -> None:
    async with world(tmp_path, model=CACHED) as front:
        gc.collect()
        gc.disable()
        try:
            for turn in range(2):
                await front.send(post("/predict", ROW))
                await front.send(post("/predict-batch", SEVERAL))
                await front.send(post("/predict", ROW, b"cache-control: no-cache"))
                await front.through_asgi(post("/predict", ROW))
                await front.through_asgi(post("/predict", b'{"features":[7,%d]}' % turn))
            front.host.sent.clear()
            await until(lambda: in_flight(front) == 0)
            await until(lambda: not any(issubclass(type(thing), LEFT) for thing in gc.get_objects()))
        finally:
            gc.enable()
