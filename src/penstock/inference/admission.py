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
LONGEST_RETRY_S = 60
TURN_S = 0.002
"""A turn of the event loop should take no longer. Where thousands of connections have something to say it does: then
hosts are looked after in the middle of it, or else they would stand idle while requests for them are refused."""


SAMPLE = 32
"""Of so many requests that have time enough, one is looked at closely all the same: so it is known whether waits are as
expected before it comes to that."""


LATE = "So much waits for the model that the answer would come after the request's deadline."
LONG = "So much waits for the model that it would take longer to begin than queue.wait_ms allows."


class Hopeless(NamedTuple):
    """Whoever has no more than `left_s` seconds needs not ask again: why, and after how many seconds it may."""

    left_s: float
    reason: str
    retry_after: int


class Admission:
    """Looks at what waits and is under way before a request joins it.

    A refusal holds for all who ask for the same until something has changed, or for TURN_S: in a flood it is told by
    the thousand.
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
        self._busy_until = 0.0
        self._unlooked = 0
        self._look_at = 0.0
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
            self._hopeless = None
            self._fleet.look()
            now = self._timer.time()
        if deadline <= now:
            raise DeadlineExceeded
        if (hopeless := self._hopeless) is not None and not high and deadline - now <= hopeless.left_s:
            raise WaitTooLong(hopeless.reason, retry_after=hopeless.retry_after)
        expected_s = 0.0
        if not self._fleet:
            if not self._fleet.hopes(now):
                raise NotReady
        elif self._queue and self._has_time(now, deadline, rows, nbytes) and self._queue.takes(rows, nbytes):
            return 0.0
        elif not self._goes_next(rows):
            expected_s = self._expected_s(now, rows, nbytes, high=high)
            self._look_at_wait(expected_s, deadline - now, rows, nbytes, high=high)
        if not self._queue.takes(rows, nbytes, high=high):
            raise QueueFull(retry_after=_whole_seconds(expected_s))
        return expected_s

    def sent(self, rows: int, now: float) -> None:
        """A host was handed a batch."""
        self._busy_until = max(self._busy_until, now + self._forecast.batch_s(rows))

    def changed(self) -> None:
        """There may be room for those that were refused just now."""
        self._hopeless = None

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

    def _has_time(self, now: float, deadline: float, rows: int, nbytes: int) -> bool:
        """Whether a request has so much time that there is no need to look closer: as nearly all have."""
        self._unlooked += 1
        if self._unlooked >= SAMPLE or self._again or nbytes * self._most_rows > BATCH_BYTES * rows:
            return False
        if self._queue.suspects_before(high=False):
            return False
        batches = (self._queue.rows + rows) // self._most_rows + 2
        forecast = self._forecast
        slowest_s = batches * forecast.full_s + forecast.lag_s + forecast.margin_s
        return max(now, self._busy_until) + slowest_s < min(deadline, now + self._longest_s)

    def _expected_s(self, now: float, rows: int, nbytes: int, *, high: bool) -> float:
        self._unlooked = 0
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
