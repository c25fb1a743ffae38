"""Answers in memory that all take the same room."""

from array import array
from collections.abc import Callable, Sequence

from penstock.inference.doorkeeper import Doorkeeper
from penstock.inference.row_answers import Columns, RowAnswer
from penstock.inference.row_store import NOTHING
from penstock.observability.metrics import Counter

PLACE_BYTES = 210
"""Of an answer beside its values and its key: its place among the others."""


class RingStore:
    """A `RowStore` of at most `rows` answers, for `ttl_s` each, which take `entry_bytes` with their keys. `clock` tells
    monotonic seconds.

    There is a list for each part of an answer, whose places are given away in turn, by a hand that goes round. So a
    batch is written as a few slices, and no object is made for an answer that nobody asks for again.
    """

    def __init__(
        self, rows: int, entry_bytes: int, ttl_s: float, *, clock: Callable[[], float], evictions: Counter
    ) -> None:
        self.kept: dict[bytes, int] = {}  # at which place
        self._most_rows = rows
        self._entry_bytes = entry_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._evictions = evictions
        self._empty()

    def _empty(self) -> None:
        self._hand = 0
        self._keys: list[bytes] = []
        self._until = array("d")
        self._asked = bytearray()  # 1 where it was asked for since the hand was there
        self._columns: list[list[object]] = []
        self._doorkeeper = Doorkeeper(self._most_rows)

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def nbytes(self) -> int:
        return len(self.kept) * self._entry_bytes

    def find(self, keys: Sequence[bytes]) -> Sequence[RowAnswer | None]:
        now = self._clock()
        found = [self._get(key, now) for key in keys]
        return found if any(found) else NOTHING

    def put(self, keys: Sequence[bytes], answers: Columns) -> None:
        if not self._most_rows:
            return
        if len(answers) != len(self._columns):  # these are the first, or a host has another opinion of its model
            self.clear()
            self._columns = [[] for _ in answers]
        until = self._clock() + self._ttl_s
        if len(set(keys)) < len(keys) or not self.kept.keys().isdisjoint(keys):
            keys, answers = self._replace(keys, answers, until)
        if self._is_full():
            keys, answers = self._let_in(keys, answers)
        start, count = 0, len(keys)
        while start < count:
            stop = start + self._make_room(count - start)
            self._write(keys[start:stop], [column[start:stop] for column in answers], until)
            start = stop

    def clear(self) -> None:
        self.kept.clear()
        self._empty()

    def _get(self, key: bytes, now: float) -> RowAnswer | None:
        place = self.kept.get(key)
        if place is None or self._until[place] <= now:
            return None
        self._asked[place] = 1
        return tuple([column[place] for column in self._columns])

    def _replace(self, keys: Sequence[bytes], answers: Columns, until: float) -> tuple[Sequence[bytes], Columns]:
        """Puts answers into the places of those there are; returns the others, each row once."""
        last = {key: at for at, key in enumerate(keys)}
        for key in last.keys() & self.kept.keys():
            place = self.kept[key]
            self._until[place] = until
            for column, new in zip(self._columns, answers, strict=True):
                column[place] = new[last[key]]
        return _only(keys, answers, [at for key, at in last.items() if key not in self.kept])

    def _is_full(self) -> bool:
        """Whether somebody has to go before his time."""
        there = len(self._keys)
        return there >= self._most_rows and self._until[self._hand % there] > self._clock()

    def _let_in(self, keys: Sequence[bytes], answers: Columns) -> tuple[Sequence[bytes], Columns]:
        return _only(keys, answers, self._doorkeeper.known(keys))

    def _make_room(self, most: int) -> int:
        """How many can be written at the hand, at most so many: who stands there goes."""
        if (there := len(self._keys)) < self._most_rows:
            self._hand = there
            return min(most, self._most_rows - there)
        hand = self._pass_over(self._hand) if self._hand < there else -1
        if hand < 0:
            hand = self._pass_over(0)
        self._hand = hand = max(hand, 0)
        end = min(hand + most, there)
        stays = self._asked.find(1, hand, end)
        return (end if stays < 0 else stays) - hand

    def _pass_over(self, hand: int) -> int:
        """Lets the hand pass over what was asked for, up to the first that was not; -1 where all were. With a million
        of them nobody may have to wait for a step at a time."""
        stop = self._asked.find(0, hand)
        end = len(self._asked) if stop < 0 else stop
        self._asked[hand:end] = bytes(end - hand)
        return stop

    def _write(self, keys: Sequence[bytes], answers: Columns, until: float) -> None:
        start, count = self._hand, len(keys)
        self._hand = end = start + count
        places = self._let_go(start, end) or range(start, end)
        self._keys[start:end] = keys
        self._until[start:end] = array("d", (until,)) * count
        self._asked[start:end] = bytes(count)
        for column, new in zip(self._columns, answers, strict=True):
            column[start:end] = new
        self.kept.update(zip(keys, places, strict=True))

    def _let_go(self, start: int, end: int) -> list[int]:
        """Of those who stand there, the places: the same objects, which are to be had for nothing."""
        untils, now = self._until[start:end], self._clock()
        if untils:
            self._evictions.value += len(untils) if min(untils) > now else sum([until > now for until in untils])
        return [*map(self.kept.pop, self._keys[start:end])]


def _only(keys: Sequence[bytes], answers: Columns, places: Sequence[int]) -> tuple[Sequence[bytes], Columns]:
    return [keys[at] for at in places], [[column[at] for at in places] for column in answers]
