"""What a run under open load comes to: goodput, latencies, and how soon things are as they were."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from asked import NONE, RIGHT, WRONG
from openloop import Record, Times

UNSENT = "unsent"
REFUSED = "503"
WINDOW_S = 1.0
STEP_S = 0.05
AS_BEFORE = 1.25  # a p99 of some hundred requests varies by that much while nothing happens

Flags = np.ndarray[Any, np.dtype[np.bool_]]


class Latencies(NamedTuple):
    """In milliseconds; NaN of nothing, infinite where that many were not answered at all."""

    p50: float
    p99: float

    @classmethod
    def of(cls, seconds: Times) -> "Latencies":
        if not len(seconds):
            return cls(np.nan, np.nan)
        answered = np.where(np.isnan(seconds), np.inf, seconds)
        return cls(*(1000 * float(np.quantile(answered, q, method="higher")) for q in (0.5, 0.99)))


class Course(NamedTuple):
    """Arrivals: when each was due, the seconds from then to its answer (NaN without one), and what that was."""

    due: Times
    latency: Times
    outcomes: np.ndarray[Any, np.dtype[np.str_]]
    deadline_s: float

    @classmethod
    def of(cls, record: Record, outcomes: Sequence[str], deadline_s: float) -> "Course":
        sent = ~np.isnan(record.sent)
        return cls(record.due, record.done - record.due, np.where(sent, outcomes, UNSENT), deadline_s)

    def between(self, begin: float, end: float) -> "Course":
        """Those that were due from `begin` up to `end`."""
        part = (self.due >= begin) & (self.due < end)
        return Course(self.due[part], self.latency[part], self.outcomes[part], self.deadline_s)

    @property
    def sent(self) -> int:
        return int((self.outcomes != UNSENT).sum())

    @property
    def counts(self) -> Counter[str]:
        return Counter(self.outcomes.tolist())

    @property
    def good(self) -> int:
        """Right answers within their deadline, which the client counts from when the request was due."""
        return int(((self.outcomes == RIGHT) & (self.latency <= self.deadline_s)).sum())

    @property
    def refused(self) -> Flags:
        refused: Flags = np.char.startswith(self.outcomes, REFUSED)
        return refused

    @property
    def admitted(self) -> Flags:
        """Sent, and not refused: answered, also wrongly or in vain, or never."""
        sent: Flags = self.outcomes != UNSENT
        return sent & ~self.refused

    @property
    def late(self) -> float:
        """The share of the admitted that got no right answer within their deadline."""
        admitted = int(self.admitted.sum())
        return 1 - self.good / admitted if admitted else 0.0

    def faults(self) -> list[str]:
        """What no load excuses."""
        counts = self.counts
        return [f"{counts[fault]} {fault}" for fault in (WRONG, NONE) if counts[fault]]

    def calm_after(self, drop_s: float, p99_ms: float) -> float | None:
        """The seconds from `drop_s` to the first window that is all right answers, and as fast as `p99_ms` says."""
        for begin in np.arange(drop_s, self.due[-1] - WINDOW_S, STEP_S).tolist():
            window = self.between(begin, begin + WINDOW_S)
            if (window.outcomes == RIGHT).all() and Latencies.of(window.latency).p99 <= AS_BEFORE * p99_ms:
                return float(begin - drop_s)
        return None
