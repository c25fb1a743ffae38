"""One run under open load, and whether it may be believed."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from asked import NONE, RIGHT, WRONG, Asked
from connections import Connections
from course import UNSENT, Course, Latencies
from load import machine_seconds
from openloop import Load, Record, Times
from probing import Probe, Prober, counted
from server import Server


class Step(NamedTuple):
    """`course` is what came of the arrivals, `lateness` tells how punctually they left, `cpu_s` what all processes of
    the server worked meanwhile, and `others` how many cores other programs took. `void` are the reasons not to believe
    it.
    """

    course: Course
    lateness: Latencies
    cpu_s: float
    others: float
    probes: Mapping[str, Sequence[Probe]]
    void: Sequence[str]

    @property
    def seconds(self) -> float:
        return float(self.course.due[-1])

    @property
    def cores(self) -> float:
        """Of which the server made use."""
        return self.cpu_s / self.seconds

    @property
    def predicted_s(self) -> float:
        """Requests that were answered with a prediction, a second."""
        return self.course.counts[RIGHT] / self.seconds

    @property
    def turned_away(self) -> int:
        """Requests that were answered, and not with a prediction: refused, or expired."""
        counts = self.course.counts
        return counts.total() - sum(counts[outcome] for outcome in (RIGHT, WRONG, NONE, UNSENT))


def take(server: Server, asked: Asked, due: Times, connections: int) -> Step:
    """Sends a request at each of the times `due`, on so many connections, and waits for the answers."""
    with Connections(server.port, connections) as opened:
        server.settle()
        before = counted(server.port)
        work = Work.so_far(server)
        with Prober(server.port) as prober:
            record = Load(opened, asked.requests, due).run()
        work = Work.so_far(server).since(work)
        told = counted(server.port) - before
    outcomes = [asked.outcome(number, answer) for number, answer in enumerate(record.answers)]
    course = Course.of(record, outcomes, asked.deadline_s)
    void = [*filter(None, [record.behind]), *course.faults(), *mismatch(record, told)]
    lateness = Latencies.of(record.lateness[~np.isnan(record.sent)])
    return Step(course, lateness, work.server, work.others / float(due[-1]), prober.probes, void)


class Work(NamedTuple):
    """Seconds of processor time: of the server, and of whatever is neither the server nor the load."""

    server: float
    others: float

    @classmethod
    def so_far(cls, server: Server) -> "Work":
        used = sum(server.cpu().values())
        return cls(used, machine_seconds()[0] - sum(os.times()[:4]) - used)

    def since(self, before: "Work") -> "Work":
        return Work(self.server - before.server, max(0.0, self.others - before.others))


def mismatch(record: Record, told: Counter[int]) -> list[str]:
    """Whether the server counted other answers than came."""
    seen = Counter(int(answer[9:12]) for answer in record.answers if answer)
    return [] if told == seen else [f"the server counted {dict(told)}, and {dict(seen)} came"]
