"""Answers in memory, by the row that they answer: so many, for so long, in so many bytes."""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import repeat

from penstock.inference.row_answers import ANSWER_BYTES, RowAnswer, weigh
from penstock.observability.metrics import Counter

Entry = tuple[float, RowAnswer]
"""Until when an answer is kept, in monotonic seconds."""
NOTHING: Sequence[RowAnswer | None] = ()
GONE: Entry = (0.0, ())


class RowStore:
    """Keeps at most `rows` answers for `ttl_s` each, which take `entry_bytes` with their keys. `clock` tells monotonic
    seconds.

    Where there is no room the oldest goes, and is counted if that is before its time; but one that was asked for goes
    to the end of the row instead, once for all that it was asked (the policy is known as CLOCK, or second chance). What
    is too old stays until then, or until another is put in its place.
    """

    def __init__(
        self, rows: int, entry_bytes: int, ttl_s: float, *, clock: Callable[[], float], evictions: Counter
    ) -> None:
        self.entries: dict[bytes, Entry] = {}
        self._most_rows = rows
        self._entry_bytes = entry_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._evictions = evictions
        self._row: deque[bytes] = deque()  # the keys of all entries
        self._asked: set[bytes] = set()  # those that were asked for since they stand where they do

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def nbytes(self) -> int:
        """What the entries take, in bytes."""
        return len(self.entries) * self._entry_bytes

    def find(self, keys: Sequence[bytes]) -> Sequence[RowAnswer | None]:
        """The answer that is kept for each; `NOTHING` where there is none."""
        now = self._clock()
        found = [self._get(key, now) for key in keys]
        return found if any(found) else NOTHING

    def put(self, keys: Sequence[bytes], answers: Sequence[RowAnswer]) -> None:
        """Keeps answers from now on, in the place of those there are."""
        entries = self.entries
        if len(entries) + len(keys) > self._most_rows:
            self._make_room(len(keys))
        if entries.keys().isdisjoint(keys):
            self._row.extend(dict.fromkeys(keys))
        else:
            self._row.extend([key for key in dict.fromkeys(keys) if key not in entries])
        until = self._clock() + self._ttl_s
        entries.update(zip(keys, zip(repeat(until), answers, strict=False), strict=True))
        if len(entries) > self._most_rows:  # they are more than there is room for
            self._make_room(0)

    def clear(self) -> None:
        self.entries.clear()
        self._row.clear()
        self._asked.clear()

    def _get(self, key: bytes, now: float) -> RowAnswer | None:
        until, answer = self.entries.get(key, GONE)
        if until <= now:
            return None
        self._asked.add(key)
        return answer

    def _make_room(self, rows: int) -> None:
        """For so many more. It is made before they come: they were not asked for yet, and would go first."""
        self._evict(min(len(self.entries), len(self.entries) + rows - self._most_rows))

    def _evict(self, count: int) -> list[tuple[bytes, RowAnswer]]:
        """Lets so many go: which, and their answers."""
        row, asked, pop, now = self._row, self._asked, self.entries.pop, self._clock()
        gone, early = [], 0
        for _ in range(count):
            while (key := row.popleft()) in asked:
                asked.discard(key)
                row.append(key)
            until, answer = pop(key)
            gone.append((key, answer))
            early += until > now
        self._evictions.value += early
        return gone


class WeighedRowStore(RowStore):
    """As `RowStore`, where every entry takes another room, and all of them at most `most_bytes`."""

    def __init__(
        self, rows: int, most_bytes: int, ttl_s: float, *, clock: Callable[[], float], evictions: Counter
    ) -> None:
        super().__init__(rows, 0, ttl_s, clock=clock, evictions=evictions)
        self._most_bytes = most_bytes
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def put(self, keys: Sequence[bytes], answers: Sequence[RowAnswer]) -> None:
        """As of others; but what is larger than all the room is not kept, nor what it would replace."""
        new = dict(zip(keys, answers, strict=True))
        fitting = {key: answer for key, answer in new.items() if _weight(key, answer) <= self._most_bytes}
        nbytes = sum([_weight(key, answer) for key, answer in fitting.items()])
        self._make_room(len(fitting), nbytes)
        for key in new.keys() & self.entries.keys():
            self._nbytes -= _weight(key, self.entries[key][1])
            if key not in fitting:
                self.entries[key] = GONE
                self._nbytes += _weight(key, GONE[1])
        self._nbytes += nbytes
        super().put(list(fitting), list(fitting.values()))
        self._make_room(0)

    def clear(self) -> None:
        super().clear()
        self._nbytes = 0

    def _make_room(self, rows: int, nbytes: int = 0) -> None:
        while self.entries and (len(self.entries) + rows > self._most_rows or self._nbytes + nbytes > self._most_bytes):
            self._nbytes -= sum([_weight(key, answer) for key, answer in self._evict(1)])


def _weight(key: bytes, answer: RowAnswer) -> int:
    return len(key) + ANSWER_BYTES + weigh(answer)
