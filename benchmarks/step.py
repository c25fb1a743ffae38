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

FRONT = "penstock.front"


class Work(NamedTuple):
    """Seconds of processor time: of all processes of the server, of its front, and of other programs."""

    server: float
    front: float
    others: float

    @classmethod
    def so_far(cls, server: Server) -> "Work":
        used, names = server.cpu(), server.processes()
        own = sum(os.times()[:4])
        front = sum(seconds for pid, seconds in used.items() if FRONT in names.get(pid, ""))
        return cls(sum(used.values()), front, machine_seconds()[0] - own - sum(used.values()))

    def since(self, before: "Work") -> "Work":
        return Work(*(max(0.0, now - then) for now, then in zip(self, before, strict=True)))


class Step(NamedTuple):
    """`course` is what came of the arrivals, `lateness` tells how punctually they left, `work` what was done meanwhile.

    `void` are the reasons not to believe it.
    """

    course: Course
    lateness: Latencies
    work: Work
    probes: Mapping[str, Sequence[Probe]]
    void: Sequence[str]

    @property
    def seconds(self) -> float:
        return float(self.course.due[-1])

    @property
    def predicted(self) -> int:
        """Requests that were answered with a prediction."""
        return self.course.counts[RIGHT]

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
    return Step(course, Latencies.of(record.lateness[~np.isnan(record.sent)]), work, prober.probes, void)


def mismatch(record: Record, told: Counter[int]) -> list[str]:
    """Whether the server counted other answers than came."""
    seen = Counter(int(answer[9:12]) for answer in record.answers if answer)
    return [] if told == seen else [f"the server counted {dict(told)}, and {dict(seen)} came"]
