"""When a request would be answered if it were queued now."""

import math
from collections import deque
from typing import NamedTuple

from penstock.inference.pace import MEMORY, Mean, Pace

SURELY = 3.0  # mean deviations, beyond which lies hardly anything that varies by chance
OUTLIER = 16.0
"""One batch counts for as much as so many usual ones, at most: a model that slows down is believed within a few, and
what was held up once does not shut out everybody else."""
LEAST_LEFT = 0.05  # of the batches to requests of low priority, however many of high priority there are


Seen = tuple[int, float, float, float, float | None]
"""What `Forecast.answered` is told of a batch."""


class Capacity(NamedTuple):
    """What a model's processes can do together: rows a second in batches of the mean size of late, which each take so
    many milliseconds of the model."""

    rows_per_second: float
    batch_rows: float
    batch_ms: float


class Forecast:
    """What is known of the time that a model's requests wait.

    The model's own seconds make its `pace`. What else passes between the sending of a batch and its answer (other
    fronts' batches, the way there and back) is the `delay`, and the `lag` is how long this process was busy before it
    looked at what had arrived: the client waits since then. How wrong it was of late makes the `margin_s` that nearly
    all requests stay within.
    """

    __slots__ = ("_delay", "_error", "_hurried", "_lag", "_most", "_pace", "_unlearnt")

    def __init__(self, most: int) -> None:
        self._unlearnt: deque[Seen] = deque(maxlen=MEMORY)
        self._most = most
        self._pace = Pace()
        self._delay = Mean()
        self._lag = Mean()
        self._hurried = Mean()
        self._error = Mean()

    def answered(
        self, rows: int, seconds: float, turnaround_s: float, hurried: float, late_s: float | None = None
    ) -> None:
        """A batch came back: the model's seconds, those in which its host did nothing else for us, the share of its
        rows that were of high priority, and how much longer than expected its first request had waited, if anything
        was expected.

        It is learnt from when somebody asks, which where nobody has to wait is seldom.
        """
        self._unlearnt.append((rows, seconds, turnaround_s, hurried, late_s))

    def lagged(self, seconds: float) -> None:
        """So long after an arrival the loop came round to what had arrived."""
        self._lag.add(seconds)

    @property
    def pace(self) -> Pace:
        """How fast the model is."""
        self._catch_up()
        return self._pace

    @property
    def lag_s(self) -> float:
        return self._lag.value

    @property
    def margin_s(self) -> float:
        self._catch_up()
        return SURELY * self._error.value

    @property
    def full_s(self) -> float:
        """Between the answers of two batches of the largest size there is."""
        return self.batch_s(self._most) / self._left

    def capacity(self, hosts: int) -> Capacity | None:
        """That of so many hosts; None where no batch was answered yet."""
        pace = self.pace
        rows, seconds = pace.rows, pace.seconds(pace.rows)
        return Capacity(round(hosts * rows / seconds, 1), round(rows, 1), round(seconds * 1000, 3)) if seconds else None

    def row_s(self) -> float:
        """What the model takes for a row, in batches of the mean size of late; 0 where no batch was answered yet."""
        rows = self.pace.rows
        return self.pace.seconds(rows) / rows if rows else 0.0

    def batch_s(self, rows: float) -> float:
        """From the sending of such a batch to its answer."""
        return self.pace.seconds(rows) + self._delay.value

    def _catch_up(self) -> None:
        while self._unlearnt:
            self._learn(*self._unlearnt.popleft())

    def _learn(self, rows: int, seconds: float, turnaround_s: float, hurried: float, late_s: float | None) -> None:
        pace = self._pace
        if pace.is_known:
            usual_s = pace.seconds(rows) + self._delay.value
            wrong_s = abs(turnaround_s - usual_s if late_s is None else late_s)
            self._error.add(min(wrong_s, max(usual_s, 2 * self._error.value)))
            turnaround_s = min(turnaround_s, OUTLIER * usual_s)
            seconds = min(seconds, turnaround_s)
        pace.learn(rows, seconds)
        self._delay.add(max(0.0, turnaround_s - seconds))
        self._hurried.add(hurried)

    @property
    def _left(self) -> float:
        """The share of the batches that is left to rows of low priority."""
        return max(LEAST_LEFT, 1.0 - self._hurried.value)

    def answer_s(
        self,
        ahead: int,
        own: int,
        *,
        most: int,
        hosts: int,
        free_in_s: float,
        apart: int = 0,
        turns: bool = False,
        high: bool = False,
    ) -> float:
        """Seconds until a request of `own` rows behind so many others is answered; 0 where no batch was answered yet.

        They go in batches of at most `most` rows, a larger request by itself, and so do `apart` of those ahead, to so
        many `hosts`, the first of which is free in `free_in_s`. Where they take `turns` with what goes again, every
        other batch is theirs. Rows that are not of `high` priority give way to those yet to come, which take the share
        of the batches that they took lately.
        """
        if not self.pace.is_known:
            return 0.0
        together = max(0, ahead - apart) + (own if own <= most else 0)
        batches = math.ceil(together / most) + apart + (own > most)
        rounds = math.ceil(batches * (1 + turns) / hosts)
        each_s = self.batch_s((ahead + own) / batches)
        return free_in_s + rounds * each_s / (1.0 if high else self._left) + self.lag_s
