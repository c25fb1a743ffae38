"""Copies of answered requests: asked of another version, once the answers are out, and compared.

Nobody waits for them. They are gathered for a moment, go to a host that is idle, in batches of their own, and are given
up where there is no room: whatever becomes of the other version, real requests are not concerned.
"""

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from penstock.errors import ModelFailed
from penstock.inference.alarm import Timer
from penstock.inference.batcher import ENDED, Batcher
from penstock.inference.comparison import Comparison, Difference
from penstock.inference.router import Share
from penstock.inference.rows import Rows, concatenated
from penstock.inference.ticket import Result, Ticket
from penstock.inference.translation import Translation

GATHER_S = 0.1
"""A lot costs a front more than its rows do, and nobody waits for it."""
LOT_ROWS = 256  # that go together
LOT_BYTES = 128 * 2**10  # of rows and answers in a lot: a millisecond's work, that answers wait for
BESIDE_S = 0.005  # that a lot may take of a host with real requests of its own
MOST_ROWS = 2_048  # that are held, with the host and waiting
MOST_BYTES = 16 * 2**20
FAIR_S = 0.2  # between two batches of which the times are compared
NEVER_S = 86_400.0  # until a copy is too late: it never is


class Copy(NamedTuple):
    """A request's rows, and what it was answered."""

    rows: Rows
    nbytes: int
    result: Result


class ComparisonMeter(Protocol):
    """What hears of comparisons. Rows that were not compared are "failed" (the other version could not answer), "lost"
    (with its process) or "dropped" (there was no room)."""

    def compared(self, difference: Difference, /) -> None: ...

    def timed(self, seconds: float, against_s: float, /) -> None:
        """The other version took so many seconds for a batch of as many rows as this one had taken the others for."""

    def missed(self, result: str, rows: int, /) -> None: ...


class Mirror:
    """Copies that go to `batcher`, at most `most_rows` at a time. Where it has real requests too they may take `part`
    of the time, and lots are as small as one row while that takes long. `weigh` tells the bytes of an answer.
    """

    def __init__(
        self,
        batcher: Batcher,
        share: Share,
        translation: Translation,
        comparison: Comparison,
        meter: ComparisonMeter,
        timer: Timer,
        part: float = 1.0,
        most_rows: int = LOT_ROWS,
        weigh: Callable[[Result], int] = lambda result: 0,
    ) -> None:
        self._batcher = batcher
        self._share = share
        self._translation = translation
        self._comparison = comparison
        self._meter = meter
        self._timer = timer
        self._part = part
        self._most_rows = min(most_rows, LOT_ROWS)
        self._lot_rows = 1 if part < 1 else self._most_rows
        self._weigh = weigh
        self._waiting: deque[Copy] = deque()
        self._again: deque[Sequence[Copy]] = deque()  # halves of what failed
        self._rows = 0
        self._bytes = 0
        self._is_due = False  # whether `_send` is to be called
        self._under_way = False
        self._fair_at = 0.0
        self._rested_at = 0.0  # when the host has had the rest of its time
        self._closed = False

    def copy(self, rows: Rows, result: Result, request_id: str) -> None:
        """A request has been answered."""
        if self._closed or not (self._share.is_everyone or self._share.takes(request_id.encode())):
            return
        nbytes = rows.nbytes + self._weigh(result)
        if self._rows + rows.count > MOST_ROWS or self._bytes + nbytes > MOST_BYTES:
            self._meter.missed("dropped", rows.count)
            return
        self._rows += rows.count
        self._bytes += nbytes
        self._waiting.append(Copy(rows, nbytes, result))
        if not self._is_due and not self._under_way:
            self._send_in(GATHER_S)

    def close(self) -> None:
        """Nothing is copied any more. What is under way is compared still."""
        self._closed = True
        self._give_up("dropped")

    def _send_in(self, seconds: float) -> None:
        self._is_due = True
        self._timer.call_later(max(seconds, self._rested_at - self._timer.time()), self._send)

    def _send(self) -> None:
        self._is_due = False
        if not (self._waiting or self._again):
            return
        if not self._batcher.hosts:
            self._give_up("lost")
        elif not self._batcher.is_idle:
            self._send_in(GATHER_S)
        else:
            now = self._timer.time()
            lot, fair = self._next(now)
            rows = self._translation.of(concatenated([copy.rows for copy in lot]))
            settled = partial(self._settled, lot, fair=fair)
            self._under_way = True
            self._batcher.send_apart(Ticket(rows, settled, deadline=now + NEVER_S, queued_at=now))

    def _give_up(self, result: str) -> None:
        """None of those that wait will be compared."""
        while self._again:
            self._done(self._again.popleft(), result)
        self._done(self._waiting, result)
        self._waiting.clear()

    def _next(self, now: float) -> tuple[Sequence[Copy], bool]:
        """The copies that go next, and whether they are as many rows as the batch in which they were answered."""
        if self._again:
            return self._again.popleft(), False
        if now >= self._fair_at and (first := self._fair()) is not None:
            self._fair_at = now + FAIR_S
            most = first.result.batch_rows
            lot = self._gathered(first, most)
            return lot, sum([copy.rows.count for copy in lot]) == most
        return self._gathered(self._waiting.popleft(), self._lot_rows), False

    def _fair(self) -> Copy | None:
        """The first that was answered in a batch which is small enough to be asked for again; what was kept from before
        was answered in none."""
        for copy in self._waiting:
            if 0 < copy.result.batch_rows <= self._lot_rows:
                self._waiting.remove(copy)
                return copy
        return None

    def _gathered(self, first: Copy, most: int) -> Sequence[Copy]:
        """It, and as many of those that wait as have the same shape and room beside it."""
        lot, rows, nbytes = [first], first.rows.count, first.nbytes
        while self._waiting and (copy := self._waiting[0]).rows.shapes == first.rows.shapes:
            rows, nbytes = rows + copy.rows.count, nbytes + copy.nbytes
            if rows > most or nbytes > LOT_BYTES:
                break
            lot.append(self._waiting.popleft())
        return lot

    def _settled(self, lot: Sequence[Copy], ticket: Ticket, *, fair: bool) -> None:
        now = self._timer.time()
        self._under_way = False
        self._rested_at = now + (now - ticket.sent_at) * (1 / self._part - 1)
        if (result := ticket.result) is not None:
            self._meter.compared(self._comparison.of([copy.result for copy in lot], result))
            if self._part < 1:
                self._adapt(result.inference_s)
            if fair:
                self._fair_at = now + FAIR_S
                self._meter.timed(result.inference_s, lot[0].result.inference_s)
            self._done(lot)
        elif not isinstance(ticket.error, ModelFailed) or str(ticket.error) == ENDED:
            self._done(lot, "lost")
        elif len(lot) == 1:
            self._done(lot, "failed")
        elif self._closed:
            self._done(lot, "dropped")
        else:
            half = len(lot) // 2
            self._again += (lot[:half], lot[half:])
        if self._waiting or self._again:
            self._send_in(0.0 if self._again or self._rows >= self._lot_rows else GATHER_S)

    def _adapt(self, seconds: float) -> None:
        """Lots are to take so little time that a real request hardly notices one in its way."""
        if seconds > BESIDE_S:
            self._lot_rows = max(1, self._lot_rows // 2)
        elif 2 * seconds < BESIDE_S:
            self._lot_rows = min(2 * self._lot_rows, self._most_rows)

    def _done(self, lot: Sequence[Copy], missed: str | None = None) -> None:
        for copy in lot:
            self._rows -= copy.rows.count
            self._bytes -= copy.nbytes
        if missed is not None:
            self._meter.missed(missed, sum([copy.rows.count for copy in lot]))
