"""Answers in memory of which each takes another room: text, and lists of any length."""

from collections import OrderedDict
from collections.abc import Callable, Sequence

from penstock.inference.doorkeeper import Doorkeeper
from penstock.inference.row_answers import Columns, RowAnswer, apart, weigh
from penstock.inference.row_store import NOTHING
from penstock.observability.metrics import Counter

Entry = tuple[float, RowAnswer]
"""Until when an answer is kept, in monotonic seconds."""
GONE: Entry = (0.0, ())
ANSWER_BYTES = 410
"""Of an answer beside its values and its key: its place among the others."""


class WeighedStore:
    """A `RowStore` of at most `rows` answers, for `ttl_s` each, which take `most_bytes` with their keys. `clock` tells
    monotonic seconds. What is larger than all the room is not kept, nor what it would replace."""

    def __init__(
        self, rows: int, most_bytes: int, ttl_s: float, *, clock: Callable[[], float], evictions: Counter
    ) -> None:
        self.kept: OrderedDict[bytes, Entry] = OrderedDict()  # in the order in which their turn comes
        self.nbytes = 0
        self._most_rows = rows
        self._most_bytes = most_bytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._evictions = evictions
        self._asked: set[bytes] = set()  # those that were asked for since they stand where they do
        self._doorkeeper = self._new_doorkeeper()

    def __len__(self) -> int:
        return len(self.kept)

    def find(self, keys: Sequence[bytes]) -> Sequence[RowAnswer | None]:
        now = self._clock()
        found = [self._get(key, now) for key in keys]
        return found if any(found) else NOTHING

    def put(self, keys: Sequence[bytes], answers: Columns) -> None:
        until = self._clock() + self._ttl_s
        for key, answer in zip(keys, apart(answers), strict=True):
            self._put(key, answer, until)

    def clear(self) -> None:
        self.kept.clear()
        self._asked.clear()
        self._doorkeeper = self._new_doorkeeper()
        self.nbytes = 0

    def _get(self, key: bytes, now: float) -> RowAnswer | None:
        until, answer = self.kept.get(key, GONE)
        if until <= now:
            return None
        self._asked.add(key)
        return answer

    def _put(self, key: bytes, answer: RowAnswer, until: float) -> None:
        weight, is_new = _weight(key, answer), key not in self.kept
        if not is_new:
            self._drop(key)
        if weight > self._most_bytes or not self._most_rows:
            return
        if is_new and self._is_full(weight) and not self._doorkeeper.known([key]):
            return
        while self._lacks_room(weight):
            self._evict()
        self.kept[key] = until, answer
        self.nbytes += weight

    def _lacks_room(self, weight: int) -> bool:
        return len(self.kept) >= self._most_rows or self.nbytes + weight > self._most_bytes

    def _is_full(self, weight: int) -> bool:
        """Whether somebody has to go before his time."""
        return self._lacks_room(weight) and self.kept[next(iter(self.kept))][0] > self._clock()

    def _new_doorkeeper(self) -> Doorkeeper:
        return Doorkeeper(min(self._most_rows, self._most_bytes // ANSWER_BYTES))

    def _evict(self) -> None:
        """Lets the one go whose turn it is."""
        while (key := next(iter(self.kept))) in self._asked:
            self._asked.discard(key)
            self.kept.move_to_end(key)
        self._evictions.value += self._drop(key) > self._clock()

    def _drop(self, key: bytes) -> float:
        """Lets one go; until when it was to be kept."""
        until, answer = self.kept.pop(key)
        self._asked.discard(key)
        self.nbytes -= _weight(key, answer)
        return until


def _weight(key: bytes, answer: RowAnswer) -> int:
    return len(key) + ANSWER_BYTES + weigh(answer)
