"""Whether it pays to keep answers: what looking them up takes, held against what the model would have taken."""

from collections.abc import Callable, Iterator

from penstock.inference.alarm import Handle, Timer
from penstock.observability.caching import CacheMeter

EVERY = 16
"""Of so many look-ups of a few rows one is timed, which stands for all of them."""
LARGE = 64
"""Rows that are worth a clock of their own: few such requests are many rows."""
WINDOW_ROWS = 1_000
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
PATH_S = 3e-6
"""What a row costs the front on its way to the model and back, among many in a batch. A request of one row costs some
ten times as much (benchmarks/cached.py): where requests are small, a cache that pays by this account surely does."""


def stands_for(rows: int, numbers: Iterator[int]) -> int:
    """For how many of its kind the time of a look-up of so many rows, the next of these numbers, counts; 0 where it is
    not taken."""
    if rows >= LARGE:
        return 1
    return 0 if next(numbers) % EVERY else EVERY


class Worth:
    """The account of one cache. `row_s` tells what the model takes for a row, in seconds; 0 as long as nobody knows."""

    def __init__(self, meter: CacheMeter, row_s: Callable[[], float]) -> None:
        self._meter = meter
        self._row_s = row_s
        self._told = meter.spared
        self._saved_s = 0.0
        self.spent_s = 0.0

    @property
    def is_known(self) -> bool:
        """Whether the model has computed anything here."""
        return self._row_s() > 0

    def spent(self, seconds: float) -> None:
        """The cache's work took so long."""
        self.spent_s += seconds

    def waited(self, seconds: float) -> None:
        """So long a request waited for what others keep, as it would else have waited for the model."""
        self.spent_s += seconds

    def saved_s(self) -> float:
        """Seconds that were saved so far."""
        spared, self._told = self._meter.spared - self._told, self._meter.spared
        if spared:
            self._saved_s += spared * (self._row_s() + PATH_S)
        return self._saved_s


class Judge:
    """Switches a cache off where it does not pay, and on again for a trial.

    Each window of rows has to save more than it cost. Nothing is judged while nobody knows what the model takes: where
    others keep the answers, all may be found before this front has ever asked it. While it goes on not to pay the
    pauses double, and so do the trials: many different rows take a while to be known. `switch` is told whether it is to
    be on, and what was saved and spent in the last window.
    """

    def __init__(
        self, worth: Worth, meter: CacheMeter, timer: Timer, switch: Callable[[bool, float, float], None]
    ) -> None:
        self._worth = worth
        self._meter = meter
        self._timer = timer
        self._switch = switch
        self._pause_s = FIRST_PAUSE_S
        self._trial: Handle | None = None
        self._begin()
        self._trial_from = self._from

    def look(self) -> None:
        """Some more rows were asked for."""
        rows = self._meter.looked_up - self._from
        if rows < WINDOW_ROWS:
            return
        if not self._worth.is_known:
            self._begin()
            self._trial_from = self._from
            return
        saved_s = self._worth.saved_s() - self._saved_s
        spent_s = self._worth.spent_s - self._spent_s
        self._begin()
        if saved_s > spent_s:
            self._pause_s = FIRST_PAUSE_S
        elif self._from - self._trial_from >= WINDOW_ROWS * self._pause_s / FIRST_PAUSE_S:
            self._switch(False, saved_s, spent_s)
            self._trial = self._timer.call_later(self._pause_s, self._try)
            self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def close(self) -> None:
        """The cache is gone: there will be no trial."""
        if self._trial is not None:
            self._trial.cancel()

    def _begin(self) -> None:
        """Of another window."""
        self._from = self._meter.looked_up
        self._saved_s, self._spent_s = self._worth.saved_s(), self._worth.spent_s

    def _try(self) -> None:
        self._trial = None
        self._begin()
        self._trial_from = self._from
        self._switch(True, 0.0, 0.0)
