"""Answers in memory, by the row that they answer: so many, for so long, in so many bytes."""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice, repeat

from penstock.inference.row_answers import ANSWER_BYTES, RowAnswer, weigh
from penstock.observability.metrics import Counter

Entry = tuple[float, RowAnswer]
"""Until when an answer is kept, in monotonic seconds."""
NOTHING: Sequence[RowAnswer | None] = ()
AT_ONCE = 128
"""Of so many entries one goes beyond those that must, where there is no room: to look for the oldest has its price."""


class RowStore:
    """Keeps at most `rows` answers for `ttl_s` each, which take `entry_bytes` with their keys; what was asked for least
    lately goes first, and is counted if it goes before its time. `clock` tells monotonic seconds.

    What is too old stays until it is asked for, or there is no room.
    """

    def __init__(
        self, rows: int, entry_bytes: int, ttl_s: float, *, clock: Callable[[], float], evictions: Counter
    ) -> None:
        self._most_rows = rows
        self._entry_bytes = entry_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._evictions = evictions
        self.entries: dict[bytes, Entry] = {}  # what was asked for last is last

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
        if not entries.keys().isdisjoint(keys):
            self._drop(keys)
        until = self._clock() + self._ttl_s
        if len(keys) == 1:
            entries[keys[0]] = until, answers[0]
        else:
            entries.update(zip(keys, zip(repeat(until), answers, strict=False), strict=True))
        if len(entries) > self._most_rows:
            self._make_room(len(entries) - self._most_rows)

    def clear(self) -> None:
        self.entries.clear()

    def _get(self, key: bytes, now: float) -> RowAnswer | None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        if entry[0] <= now:
            self._gone([key], [entry])
            return None
        self.entries[key] = entry
        return entry[1]

    def _drop(self, keys: Iterable[bytes]) -> None:
        there = [key for key in dict.fromkeys(keys) if key in self.entries]
        self._gone(there, [self.entries.pop(key) for key in there])

    def _make_room(self, rows: int) -> None:
        now = self._clock()
        keys = list(islice(self.entries, rows + self._most_rows // AT_ONCE))
        gone = [self.entries.pop(key) for key in keys]
        self._evictions.value += sum([until > now for until, _ in gone])
        self._gone(keys, gone)

    def _gone(self, keys: Sequence[bytes], entries: Sequence[Entry]) -> None:
        """These are not held any more."""


class WeighedRowStore(RowStore):
    """As `RowStore`, where every entry takes another room, and all of them at most `most_bytes`."""

    def __init__(
        self,
        rows: int,
        most_bytes: int,
        ttl_s: float,
        *,
        clock: Callable[[], float],
        evictions: Counter,
    ) -> None:
        super().__init__(rows, 0, ttl_s, clock=clock, evictions=evictions)
        self._most_bytes = most_bytes
        self._nbytes = 0

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def put(self, keys: Sequence[bytes], answers: Sequence[RowAnswer]) -> None:
        """As of others; but what is larger than all the room is not kept."""
        weights = {key: _weight(key, answer) for key, answer in zip(keys, answers, strict=True)}
        fitting = {key: answer for key, answer in zip(keys, answers, strict=True) if weights[key] <= self._most_bytes}
        self._drop(keys)
        self._nbytes += sum([weights[key] for key in fitting])
        super().put(list(fitting), list(fitting.values()))
        while self._nbytes > self._most_bytes:
            self._make_room(1)

    def clear(self) -> None:
        super().clear()
        self._nbytes = 0

    def _gone(self, keys: Sequence[bytes], entries: Sequence[Entry]) -> None:
        self._nbytes -= sum([_weight(key, answer) for key, (_, answer) in zip(keys, entries, strict=True)])


def _weight(key: bytes, answer: RowAnswer) -> int:
    return len(key) + ANSWER_BYTES + weigh(answer)
