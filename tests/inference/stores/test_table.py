"""A table in memory: answers at once, and follows its file."""

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from penstock.inference.stores import AWAY, Answer, table
from penstock.inference.stores.content import Row
from penstock.inference.stores.room import Room
from penstock.inference.stores.table import Table, look_at
from penstock.observability.logs import Log
from tests.inference.stores.conftest import Told

pytestmark = pytest.mark.anyio

FIELDS = ("age",)


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "LOOK_S", 0.01)


@asynccontextmanager
async def opened(path: Path, log: Log) -> AsyncIterator[Table]:
    """A table that has been read, or could not be."""
    store = Table("users", path, "id", log)
    first = store.look("", FIELDS)
    assert isinstance(first, asyncio.Future)
    try:
        await asyncio.wait_for(first, 30)
        yield store
    finally:
        store.close()


async def until(store: Table, entity: str, is_so: Callable[[Answer], bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            found = store.look(entity, FIELDS)
            assert not isinstance(found, asyncio.Future)
            if is_so(found):
                return
            await asyncio.sleep(0.005)


def replace(path: Path, text: str) -> None:
    """In one move, as whoever writes such a file should."""
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


async def test_what_is_asked_while_it_is_read_at_first_waits_for_that(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    store = Table("users", path, "id", log)
    known, unknown = store.look("u1", FIELDS), store.look("u2", FIELDS)
    assert isinstance(known, asyncio.Future)
    assert isinstance(unknown, asyncio.Future)
    assert await asyncio.wait_for(known, 30) == {"age": "41"}
    assert await unknown is None
    assert store.look("u1", FIELDS) == {"age": "41"}
    store.close()
    assert [(line["event"], line["store"], line["rows"]) for line in told()] == [("store_read", "users", 1)]


async def test_a_file_that_has_changed_is_read_again(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log) as store:
        replace(path, "id,age\nu1,42\n")
        await until(store, "u1", lambda found: found == {"age": "42"})


def test_a_file_that_is_still_written_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    first = look_at(path, "id", told=None, seen=None)
    assert first.content is not None
    assert look_at(path, "id", told=first.stamp, seen=first.stamp) == (first.stamp, None, None)
    path.write_text("id,age\nu1,42\nu")
    half = look_at(path, "id", told=first.stamp, seen=first.stamp)
    assert half.content is None
    path.write_text("id,age\nu1,42\nu2,1\n")
    whole = look_at(path, "id", told=first.stamp, seen=half.stamp)
    assert whole.content is None
    again = look_at(path, "id", told=first.stamp, seen=whole.stamp)
    assert again.content is not None
    assert again.content.rows.keys() == {"u1", "u2"}


async def test_a_broken_file_leaves_what_was_read_before(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log) as store:
        replace(path, "id,age\nu1\n")
        replace(path, "id,age\nu1\n")
        await asyncio.sleep(0.2)
        assert store.look("u1", FIELDS) == {"age": "41"}
        path.unlink()
        await asyncio.sleep(0.2)
        assert store.look("u1", FIELDS) == {"age": "41"}
        replace(path, "id,age\nu1,44\n")
        await until(store, "u1", lambda found: found == {"age": "44"})
    lines = [(line["event"], line.get("reason")) for line in told()]
    assert lines[0] == ("store_read", None)
    assert ("store_unreadable", "line 2 has 1 cells, and the header 2") in lines
    assert ("store_unreadable", "no such file or directory") in lines
    assert lines[-1] == ("store_read", None)
    assert len(lines) == 4, "each change is told once"


async def test_a_table_that_was_never_read_is_away_until_it_is_there(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    async with opened(path, log) as store:
        assert store.look("u1", FIELDS) is AWAY
        path.write_text("id,age\nu1,41\n")
        await until(store, "u1", lambda found: found == {"age": "41"})
    assert [line["event"] for line in told()] == ["store_unreadable", "store_read"]


async def test_a_column_that_is_not_there_is_missing_and_told_of_once(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log) as store:
        for _ in range(3):
            assert store.look("u1", ("age", "balance")) == {"age": "41"}
    assert [(line["event"], line.get("column")) for line in told()][1:] == [("store_lacks_column", "balance")]


async def test_a_table_that_has_lost_a_column_leaves_what_was_read_before(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age,unused\nu1,41,1\n")
    async with opened(path, log) as store:
        assert store.look("u1", FIELDS) == {"age": "41"}
        replace(path, "id,years,unused\nu1,42,1\n")
        log_file = tmp_path / "log"
        async with asyncio.timeout(30):
            while not (log_file.exists() and "store_unreadable" in log_file.read_text()):  # noqa: ASYNC110 # nothing tells of it
                await asyncio.sleep(0.005)
        assert store.look("u1", FIELDS) == {"age": "41"}
        replace(path, "id,age\nu1,43\n")  # what nobody looks for may go
        await until(store, "u1", lambda found: found == {"age": "43"})
    (refused,) = [line for line in told() if line["event"] == "store_unreadable"]
    assert refused["reason"] == "it has no column 'age' any more"


async def test_a_closed_table_looks_at_its_file_no_more(tmp_path: Path, log: Log, told: Told) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log):
        pass
    os.utime(path, (1, 1))
    await asyncio.sleep(0.1)
    assert len(told()) == 1


async def test_what_was_read_before_is_freed_outside_the_event_loop(
    tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    freed: queue.Queue[tuple[set[str], bool]] = queue.Queue()

    def release(rows: dict[str, Row]) -> None:
        freed.put((set(rows), threading.current_thread() is threading.main_thread()))

    monkeypatch.setattr(table, "release", release)
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log) as store:
        replace(path, "id,age\nu2,42\n")
        await until(store, "u2", lambda found: found == {"age": "42"})
    assert [await asyncio.to_thread(freed.get, timeout=30) for _ in range(2)] == [({"u1"}, False), ({"u2"}, False)]


async def test_a_shared_table_is_there_until_the_last_one_closes_it(tmp_path: Path, log: Log) -> None:
    path = tmp_path / "users.csv"
    path.write_text("id,age\nu1,41\n")
    async with opened(path, log) as store:
        store.shared().close()
        assert not store.closed
        assert store.look("u1", FIELDS) == {"age": "41"}
    assert store.closed


async def test_a_table_without_room_is_away_until_another_gives_it_back(tmp_path: Path, log: Log, told: Told) -> None:
    room = Room(1000)
    for name in ("a", "b"):
        (tmp_path / f"{name}.csv").write_text("id,age\n" + "u1,41\n" + "".join(f"x{i},1\n" for i in range(2)))
    first = Table("a", tmp_path / "a.csv", "id", log, room=room)
    known = first.look("u1", FIELDS)
    assert isinstance(known, asyncio.Future)
    assert await asyncio.wait_for(known, 30) == {"age": "41"}
    second = Table("b", tmp_path / "b.csv", "id", log, room=room)
    unknown = second.look("u1", FIELDS)
    assert isinstance(unknown, asyncio.Future)
    assert await asyncio.wait_for(unknown, 30) is AWAY
    first.close()
    await until(second, "u1", lambda found: found == {"age": "41"})
    second.close()
    lines = [(line["event"], line.get("reason")) for line in told()]
    assert lines == [("store_read", None), ("store_unreadable", table.FULL), ("store_read", None)]
