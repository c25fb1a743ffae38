"""Pairs of runs under the same load, one without the shadow and one with it, and what they come to."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from asked import RIGHT
from course import Course, Latencies
from step import Work

COMPARED = ("agreed", "differed")


class Half(NamedTuple):
    """One run: what came of the arrivals, from the first on, and of the `rows` that were copied to the shadow.

    Latencies are those of the arrivals from `ramp_s` on. `busy_s` is what the service's core worked, whoever for;
    `behind` is why the run is void, empty where it is not.
    """

    course: Course
    rows: Counter[str]
    work: Work
    busy_s: float
    ramp_s: float
    behind: str

    @property
    def latencies(self) -> Latencies:
        return Latencies.of(self.course.between(self.ramp_s, np.inf).latency)

    @property
    def compared(self) -> int:
        return sum(self.rows[result] for result in COMPARED)

    @property
    def failed(self) -> int:
        """Requests that were sent and got no right answer."""
        return self.course.sent - self.course.counts[RIGHT]

    def a_second(self, count: float) -> float:
        return count / float(self.course.due[-1])


class Pair(NamedTuple):
    """Both were asked the same at the same times. `reverse`: the one with the shadow came first."""

    without: Half
    shadowed: Half
    reverse: bool

    @property
    def ratio(self) -> float:
        return self.shadowed.latencies.p99 / self.without.latencies.p99

    @property
    def void(self) -> str:
        return self.without.behind or self.shadowed.behind

    @property
    def others(self) -> float:
        """Cores that other programs used during one of the two at most."""
        return max(half.a_second(half.work.others) for half in (self.without, self.shadowed))

    def faults(self) -> list[str]:
        """What may not be: rows that went to a shadow that was off, and rows of which nobody knows what became."""
        asked, copied = self.without.rows.total(), self.shadowed.rows.total()
        right = self.shadowed.course.counts[RIGHT]
        return [
            *([f"{asked} rows went to the shadow while it was off"] if asked else []),
            *([f"{right} rows were answered, and {copied} are accounted for"] if copied != right else []),
        ]


class Spread(NamedTuple):
    least: float
    lower: float
    median: float
    upper: float
    greatest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """NaN of nothing."""
        quantiles: np.ndarray[Any, np.dtype[np.float64]] = np.quantile(values or [np.nan], (0, 0.25, 0.5, 0.75, 1))
        return cls(*quantiles.tolist())
