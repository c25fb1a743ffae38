"""Answers in memory, by the row that they answer: so many, for so long, in so many bytes."""

from collections import OrderedDict
from collections.abc import Callable

from penstock.inference.row_answers import ANSWER_BYTES, RowAnswer
from penstock.observability.metrics import Counter


class RowStore:
    """Keeps at most `rows` answers in `nbytes` bytes with their keys, each for `ttl_s`; what was asked for least lately
    goes first, and is counted if it goes before its time. `clock` tells monotonic seconds, `weigh` the bytes of an
    answer's values.

    What is too old stays until it is asked for, or there is no room.
    """

    def __init__(
        self,
        rows: int,
        nbytes: int,
        ttl_s: float,
        *,
        clock: Callable[[], float],
        weigh: Callable[[RowAnswer], int],
        evictions: Counter,
    ) -> None:
        self.nbytes = 0
        self._evictions = evictions
        self._most_rows = rows
        self._most_bytes = nbytes
        self._ttl_s = ttl_s
        self._clock = clock
        self._weigh = weigh
        self._entries: OrderedDict[bytes, tuple[float, int, RowAnswer]] = OrderedDict()  # until when, its bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> RowAnswer | None:
        """The answer that is kept for it."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry[0] <= self._clock():
            self.nbytes -= self._entries.pop(key)[1]
            return None
        self._entries.move_to_end(key)
        return entry[2]

    def put(self, key: bytes, answer: RowAnswer) -> None:
        """Keeps an answer from now on, in the place of the one there is."""
        entries, now = self._entries, self._clock()
        if key in entries:
            self.nbytes -= entries.pop(key)[1]
        nbytes = len(key) + ANSWER_BYTES + self._weigh(answer)
        if nbytes > self._most_bytes:
            return
        entries[key] = now + self._ttl_s, nbytes, answer
        self.nbytes += nbytes
        while len(entries) > self._most_rows or self.nbytes > self._most_bytes:
            _, (until, gone, _) = entries.popitem(last=False)
            self.nbytes -= gone
            self._evictions.value += until > now

    def clear(self) -> None:
        self._entries.clear()
        self.nbytes = 0
