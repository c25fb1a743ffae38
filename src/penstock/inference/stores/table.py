"""A table as a store: a CSV or Parquet file that each front holds in memory, and reads again when it has changed."""

import asyncio
from functools import partial
from math import inf
from pathlib import Path
from typing import NamedTuple

from penstock.inference.stores import AWAY, Answer
from penstock.inference.stores.content import CELL_BYTES, BadTable, Content, Opener, read_content, release, wherever
from penstock.inference.stores.room import Room
from penstock.observability.logs import Log

LOOK_S = 1.0
FULL = "the tables beside models have no room left for it: make it a store of penstock.yaml, or keep it in Redis"

Stamp = tuple[int, int, int]
"""When a file was written, its size, and which file it is."""
GONE: Stamp = (0, 0, 0)
WIDEST = 4  # bytes that each character of a text takes, where one of them needs as many


class Look(NamedTuple):
    """What a look at the file found: how it was, and its content or what is wrong with it, if it was read."""

    stamp: Stamp
    content: Content | None = None
    problem: str | None = None


class Table:
    """Look-ups are answered at once; those that come while the file is read for the first time wait for that.

    A file that is changed is read when it has been the same for two looks, in a thread; one that is no table leaves
    what was read before. `opener` says what may be opened, and in the `room` it takes its place. Whoever shares it
    closes it, too.
    """

    timeout_s = inf  # only the first reading is waited for

    def __init__(
        self, name: str, path: Path, key: str, log: Log, opener: Opener = wherever, room: Room | None = None
    ) -> None:
        self._name = name
        self._path = path
        self._key = key
        self._opener = opener
        self._room = room or Room()
        self._size = 0
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._content: Content | None = None
        self._seen: Stamp | None = None
        self._told: Stamp | None = None
        self._first: list[tuple[asyncio.Future[Answer], str, tuple[str, ...]]] | None = []
        self._lacking: set[str] = set()
        self._asked: set[tuple[str, ...]] = set()  # the fields of those who look
        self._next: asyncio.TimerHandle | None = None
        self._users = 1
        self._look_at(first=True)

    def look(self, entity: str, fields: tuple[str, ...]) -> "Answer | asyncio.Future[Answer]":
        if self._first is not None:
            future: asyncio.Future[Answer] = self._loop.create_future()
            self._first.append((future, entity, fields))
            return future
        if fields not in self._asked:
            self._asked.add(fields)
        return self._found(entity, fields)

    @property
    def closed(self) -> bool:
        return not self._users

    def shared(self) -> "Table":
        """Itself, for one more who closes it."""
        self._users += 1
        return self

    def close(self) -> None:
        self._users -= 1
        if not self.closed:
            return
        if self._next is not None:
            self._next.cancel()
        self._release(self._content)
        self._content = None
        self._room.leave(self._size, self._come_again)

    def _found(self, entity: str, fields: tuple[str, ...]) -> Answer:
        content = self._content
        if content is None:
            return AWAY
        row = content.rows.get(entity)
        if row is None:
            return None
        columns = content.columns
        try:
            return {field: row[columns[field]] for field in fields}
        except KeyError:
            self._tell_lacking(fields, columns)
            return {field: row[columns[field]] for field in fields if field in columns}

    def _tell_lacking(self, fields: tuple[str, ...], columns: dict[str, int]) -> None:
        for field in fields:
            if field not in columns and field not in self._lacking:
                self._lacking.add(field)
                self._log.warning("store_lacks_column", store=self._name, file=str(self._path), column=field)

    # ---------------------------------------------------------------- the file
    def _look_at(self, *, first: bool = False) -> None:
        look = self._loop.run_in_executor(
            None, look_at, self._path, self._key, self._told, None if first else self._seen, self._opener
        )
        look.add_done_callback(self._looked)

    def _looked(self, done: "asyncio.Future[Look]") -> None:
        if done.cancelled():
            return
        look = done.result()
        if self.closed:
            self._release(look.content)
            return
        self._seen = look.stamp
        if look.content is not None and (lost := self._lost(look.content)):
            self._release(look.content)
            look = Look(look.stamp, problem=f"it has no column '{lost}' any more")
        if look.content is not None and not self._has_room(look.content, look.stamp[1]):
            self._release(look.content)
            look = Look(look.stamp, problem=FULL)
        if look.content is not None:
            self._release(self._content)
            self._content = look.content
            self._lacking.clear()
            self._log.info("store_read", store=self._name, file=str(self._path), rows=len(look.content.rows))
        elif look.problem is not None:
            kept = "what was read before counts" if self._content is not None else "nothing can be looked up in it"
            self._log.error(
                "store_unreadable", store=self._name, file=str(self._path), reason=look.problem, detail=kept
            )
        if look.content is not None or look.problem is not None:
            self._told = look.stamp
            self._answer_first()
        self._next = self._loop.call_later(LOOK_S, partial(self._look_at, first=self._first is not None))

    def _has_room(self, content: Content, length: int) -> bool:
        """Whether there is room for a table that was read of a file of so many bytes; then it has taken it."""
        size = content.cells * CELL_BYTES + WIDEST * length
        if not self._room.exchange(self._size, size, self._come_again):
            return False
        self._size = size
        return True

    def _come_again(self) -> None:
        """The file is to be read again, although it has not changed."""
        self._told = None

    def _lost(self, content: Content) -> str | None:
        """A column that is looked for, was there, and is not any more: every answer would be a guess."""
        if self._content is None:
            return None
        there = {field for fields in self._asked for field in fields if field in self._content.columns}
        return min(there - content.columns.keys(), default=None)

    def _release(self, content: Content | None) -> None:
        """Nobody looks into it any more; and to free it takes long enough to be no work of the event loop."""
        if content is not None:
            self._loop.run_in_executor(None, release, content.rows)

    def _answer_first(self) -> None:
        waiting, self._first = self._first or (), None
        for future, entity, fields in waiting:
            future.set_result(self._found(entity, fields))


def look_at(path: Path, key: str, told: Stamp | None, seen: Stamp | None, opener: Opener = wherever) -> Look:
    """Reads the file if it is another than was `told` of, and the same as was `seen`, if anything was."""
    stamp = _stamp(path)
    if stamp == told or (seen is not None and stamp != seen):
        return Look(stamp)
    try:
        content = read_content(path, key, opener)
    except BadTable as bad:
        return Look(stamp, problem=str(bad))
    except OSError as error:
        return Look(stamp, problem=(error.strerror or "it cannot be read").lower())
    except MemoryError:
        return Look(stamp, problem="there is not enough memory for it")
    if _stamp(path) == stamp:
        return Look(stamp, content)
    release(content.rows)
    return Look(stamp)


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
    except OSError:
        return GONE
    return found.st_mtime_ns, found.st_size, found.st_ino
