"""Whether a request may wait: who could not be answered in time is told so at once, for next to nothing."""

import math
from typing import NamedTuple

from penstock.config import Model
from penstock.errors import DeadlineExceeded, NotReady, QueueFull, WaitTooLong
from penstock.inference.again import Again
from penstock.inference.alarm import Timer
from penstock.inference.fleet import Fleet
from penstock.inference.forecast import Forecast
from penstock.inference.queue import TicketQueue

BATCH_BYTES = 16 * 2**20
SMALL = 4096  # bytes of a row, which has room wherever there is room for one
LONGEST_RETRY_S = 60
TURN_S = 0.002
"""A turn of the event loop should take no longer. Where thousands of connections have something to say it does: then
hosts are looked after in the middle of it, or else they would stand idle while requests for them are refused."""


LATE = "So much waits for the model that the answer would come after the request's deadline."
LONG = "So much waits for the model that it would take longer to begin than queue.wait_ms allows."


class Hopeless(NamedTuple):
    """Whoever has no more than `left_s` seconds needs not ask again: why, and after how many seconds it may."""

    left_s: float
    reason: str
    retry_after: int


class Room(NamedTuple):
    """Whoever has until after `deadline` is answered in time, as long as no more than so many `rows` are queued."""

    rows: int
    deadline: float


NO_ROOM = Room(0, math.inf)


class Admission:
    """Looks at what waits and is under way before a request joins it.

    What was found holds for all who ask for the same until something has changed, or for TURN_S: looking closely costs
    more than all else that is done for a request in the queue, and in a flood refusals are told by the thousand.
    """

    def __init__(
        self, settings: Model, timer: Timer, fleet: Fleet, queue: TicketQueue, again: Again, forecast: Forecast
    ) -> None:
        self._most_rows = settings.batching.max_rows
        self._longest_s = math.inf if settings.queue.wait_ms is None else settings.queue.wait_ms / 1000
        self._timer = timer
        self._fleet = fleet
        self._queue = queue
        self._again = again
        self._forecast = forecast
        self._look_at = 0.0
        self._most_queued = settings.queue.rows
        self._next = Room(min(self._most_rows, self._most_queued), 0.0)
        self._room = NO_ROOM
        self._hopeless: Hopeless | None = None

    def admit(self, deadline: float, rows: int = 1, nbytes: int = 0, *, high: bool = False) -> float:
        """How many seconds such a request would wait for its answer; 0 where it has time enough, or nothing is known.

        Raises what it would be refused with: DeadlineExceeded, WaitTooLong, QueueFull, or NotReady where no host is
        there or soon to come. A host that is free takes a batch whatever is expected: else a wrong expectation would
        never be put right.
        """
        now = self._timer.time()
        if now >= self._look_at:
            self._look_at = now + TURN_S
            self.changed()
            self._fleet.look()
            now = self._timer.time()
        if deadline <= now:
            raise DeadlineExceeded
        room = self._room
        if self._queue.rows + rows <= room.rows and deadline > room.deadline and self._is_light(rows, nbytes):
            return 0.0
        if (hopeless := self._hopeless) is not None and not high and deadline - now <= hopeless.left_s:
            raise WaitTooLong(hopeless.reason, retry_after=hopeless.retry_after)
        expected_s = 0.0
        if not self._fleet:
            if not self._fleet.hopes(now):
                raise NotReady
        elif self._goes_next(rows):
            self._room = self._next
        else:
            expected_s = self._expected_s(now, rows, nbytes, high=high)
            self._look_at_wait(expected_s, deadline - now, rows, nbytes, high=high)
            self._room = self._plenty(now)
        if not self._queue.takes(rows, nbytes, high=high):
            raise QueueFull(retry_after=_whole_seconds(expected_s))
        return expected_s

    def sent(self) -> None:
        """A host was handed a batch."""
        self._room = NO_ROOM

    def changed(self) -> None:
        """What was found holds no longer."""
        self._room = NO_ROOM
        self._hopeless = None

    def _is_light(self, rows: int, nbytes: int) -> bool:
        """Whether such rows take neither more batches than light ones do nor more room."""
        return not nbytes or (nbytes * self._most_rows <= BATCH_BYTES * rows and self._queue.takes(rows, nbytes))

    def _goes_next(self, rows: int) -> bool:
        """Whether a host is free for a batch that has room for so many rows."""
        return (not self._queue or self._queue.rows + rows <= self._most_rows) and self._fleet.free() is not None

    def _look_at_wait(self, expected_s: float, left_s: float, rows: int, nbytes: int, *, high: bool) -> None:
        """Raises WaitTooLong where the answer is not sure to come in time, or its batch not expected to begin soon."""
        if not expected_s:
            return
        forecast = self._forecast
        late_s = expected_s + forecast.margin_s - left_s
        begins_in_s = expected_s - forecast.pace.seconds(rows) - forecast.lag_s  # the lag is behind it by now
        over_s = begins_in_s - self._longest_s
        if late_s <= 0 and over_s <= 0:
            return
        hopeless = Hopeless(
            math.inf if over_s > 0 else left_s, LONG if over_s > 0 else LATE, _whole_seconds(max(late_s, over_s))
        )
        if rows == 1 and not nbytes and not high:  # what is larger waits longer
            self._hopeless = hopeless
        raise WaitTooLong(hopeless.reason, retry_after=hopeless.retry_after)

    def _plenty(self, now: float) -> Room:
        """Room for a batch more, if who is in it surely has time: as nearly always."""
        if self._again or self._queue.suspects_before(high=False):
            return NO_ROOM
        rows = min(self._queue.rows + self._most_rows, self._most_queued)
        batches = rows // self._most_rows + 2
        forecast = self._forecast
        slowest_s = batches * forecast.full_s + forecast.lag_s + forecast.margin_s
        answered_at = max(now + TURN_S, self._fleet.busy_until(forecast)) + slowest_s
        return Room(rows, answered_at) if answered_at < now + self._longest_s else NO_ROOM

    def _expected_s(self, now: float, rows: int, nbytes: int, *, high: bool) -> float:
        most = self._most_rows
        if nbytes * most > BATCH_BYTES * rows:
            most = max(1, BATCH_BYTES * rows // nbytes)
        return self._forecast.answer_s(
            self._queue.rows_before(high=high),
            rows,
            most=most,
            apart=self._queue.suspects_before(high=high),
            turns=bool(self._again),
            hosts=len(self._fleet),
            free_in_s=self._fleet.free_in_s(now, self._forecast),
            high=high,
        )


def _whole_seconds(wait_s: float) -> int:
    return min(max(1, math.ceil(wait_s)), LONGEST_RETRY_S)
