"""What one server made of every load."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from course import Course, Latencies
from step import Step

FEW = 0.05


class Case(NamedTuple):
    """A model, the deadline that all requests have, and how long they may wait for the model, if that has a limit."""

    subject: str
    deadline_ms: int
    wait_ms: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Case":
        """`sleeper:1000` or `sleeper:1000:50`."""
        subject, *limits = text.split(":")
        return cls(subject, *map(int, limits))

    def __str__(self) -> str:
        return ":".join(str(part) for part in self if part is not None)


class Results(NamedTuple):
    """The peak in right answers a second, a step for each load (multiples of the peak), and one where the load drops.

    The first `ramp_s` seconds of a step fill the queues and are left out of all figures but its balance; so long is the
    flood of `drop`, from the highest load to the lowest.
    """

    case: Case
    peak: float
    ramp_s: float
    steps: Mapping[float, Step]
    drop: Step

    def course(self, load: float) -> Course:
        return self.steps[load].course.between(self.ramp_s, np.inf)

    def a_second(self, load: float, count: int) -> float:
        return count / (self.steps[load].seconds - self.ramp_s)

    def reached(self, load: float) -> float:
        """The goodput, as a share of the peak."""
        return self.a_second(load, self.course(load).good) / self.peak

    def admitted(self, load: float) -> Latencies:
        course = self.course(load)
        return Latencies.of(course.latency[course.admitted])

    def refused(self, load: float) -> Latencies:
        course = self.course(load)
        return Latencies.of(course.latency[course.refused])

    def refusal_us(self, load: float) -> float:
        """The front's time for turning a request away, in µs: what is left when the rest of its work is taken away.

        What it takes for nothing, and for a prediction, is told by two loads at which nothing is turned away. NaN where
        there are no two, or so few were turned away that little is left.
        """
        step = self.steps[load]
        calm = [self.steps[calm] for calm in sorted(self.steps) if not self.steps[calm].turned_away]
        if len(calm) < 2 or step.turned_away < FEW * len(step.course.due):
            return np.nan
        slow, fast = calm[0], calm[-1]
        rates = [predicted.predicted / predicted.seconds for predicted in (slow, fast)]
        cores = [working.work.front / working.seconds for working in (slow, fast)]
        each = (cores[1] - cores[0]) / (rates[1] - rates[0])
        idle = cores[0] - each * rates[0]
        left = step.work.front - idle * step.seconds - each * step.predicted
        return 1e6 * left / step.turned_away

    def calm_after_s(self) -> float | None:
        """How long after the load has dropped the server was as it is at that load; None if it never was."""
        return self.drop.course.calm_after(self.ramp_s, self.admitted(min(self.steps)).p99)

    def all_steps(self) -> Iterator[tuple[str, Step]]:
        """With what each is called."""
        for load, step in self.steps.items():
            yield f"{load:g} ×", step
        yield "the drop", self.drop
