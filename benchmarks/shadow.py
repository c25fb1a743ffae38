"""Measures what a shadow costs the version that answers, and prints a Markdown table.

    python benchmarks/shadow.py                 about four minutes
    python benchmarks/shadow.py --quick         one

One service has two versions of a model. Requests of one row arrive at 30 % of what it answers so, at times drawn
beforehand and whatever became of those before them: once while the second version is asked nothing, and once, at the
same times, while it gets a copy of every request. These two make a pair; which comes first alternates.

The shadow's host is alone on a core, so that what it computes costs the others nothing, and what is left is what the
copies cost the front. All other processes of the service share another core. The load has a third one where there is
one. Where there are but two it shares that of the service, for the shadow's must stay its own: so a latency includes
what the load itself takes, and a front that is busy with copies holds up the load as well, which is counted against the
shadow. What the service answers is therefore found with the same load: the highest rate, of some that grow by a
quarter, at which the load keeps its schedule and leaves a twentieth of the core.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asked import Asked
from connections import Connections
from course import Course
from load import DISTURBING, at_hand, calm, machine_seconds
from openloop import Load, SharingLoad, Times, arrivals
from pairs import Half, Pair
from shadow_report import report
from shadowed import Places, Shadowed
from step import Work
from subjects import fitted

SUBJECT = "iris"
SLOWEST, FASTER = 400.0, 1.25  # requests a second, and from each rate to the next
FULL = 0.95  # of a core
DEADLINE_MS = 5000
CONNECTIONS = 512
WARMUP_S = 2.0
RAMP_S = 1.0  # is left out of the latencies
SEED = 7


def main() -> int:
    options = parse()
    cores = at_hand()
    if cores is None:
        return 1
    places = Places.of(cores)
    os.sched_setaffinity(0, {places.load})
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        subject = fitted({SUBJECT}, folder)[SUBJECT]
        with Shadowed(subject, folder, places) as server:
            bench = Bench(options, server, places)
            pairs = list(bench.pairs())
    where = "on the service's core" if places.shared else "on a core of its own"
    part = f", {options.load:.0%} of {bench.peak:,.0f} at the most" if bench.peak is not None else ""
    print(f"**{SUBJECT}**, {bench.rate:,.0f} requests/s{part}; the load {where}\n")
    print(report(pairs))
    return int(any(pair.void or pair.faults() or pair.without.failed or pair.shadowed.failed for pair in pairs))


class Bench:
    """Pairs of runs on one server, whose peak was measured first."""

    def __init__(self, options: argparse.Namespace, server: Shadowed, places: Places) -> None:
        self._pairs, self._seconds = options.pairs, options.seconds
        self._tries, self._patience = options.tries, options.patience
        self._server, self._core = server, places.server
        self._load = SharingLoad if places.shared else Load
        self._asked = Asked.of(server.subject, DEADLINE_MS)
        self.peak = None if options.rate else self._peak()
        self.rate = options.rate or options.load * (self.peak or SLOWEST)

    def _peak(self) -> float:
        """The highest rate that leaves something of the core; the first run warms up."""
        rate, peak = SLOWEST, SLOWEST
        while True:
            half = self._half(0, arrivals(rate, RAMP_S + WARMUP_S, SEED))
            if half.behind or half.busy_s >= FULL * (RAMP_S + WARMUP_S):
                say(f"{peak:,.0f} requests/s at the most")
                return peak
            rate, peak = rate * FASTER, rate

    def pairs(self) -> Iterator[Pair]:
        self._half(100, arrivals(self.rate, WARMUP_S, SEED))
        for number in range(1, self._pairs + 1):
            pair = self._undisturbed(number)
            say(f"pair {number}: p99 {pair.without.latencies.p99:.2f} ms, {pair.shadowed.latencies.p99:.2f} with it")
            yield pair

    def _undisturbed(self, number: int) -> Pair:
        """The first try in which the load kept its schedule and other programs used little, or else the best."""
        tried: list[Pair] = []
        while len(tried) < self._tries:
            if tried:
                calm(DISTURBING, self._patience)
            pair = self._pair(number)
            if not pair.void and pair.others <= DISTURBING:
                return pair
            say(f"pair {number} is tried again: {pair.void or f'other programs used {pair.others:.2f} cores'}")
            tried.append(pair)
        return min(tried, key=lambda pair: (bool(pair.void), pair.others))

    def _pair(self, number: int) -> Pair:
        """Every second one begins with the shadow."""
        due = arrivals(self.rate, RAMP_S + self._seconds, SEED + number)
        reverse = number % 2 == 0
        halves = [self._half(percent, due) for percent in ((100, 0) if reverse else (0, 100))]
        without, shadowed = reversed(halves) if reverse else halves
        return Pair(without, shadowed, reverse)

    def _half(self, percent: int, due: Times) -> Half:
        server = self._server
        server.switch(percent)
        server.place()
        with Connections(server.port, CONNECTIONS) as opened:
            server.settle()
            rows, work, (busy, _) = server.compared(), Work.so_far(server), machine_seconds(self._core)
            record = self._load(opened, self._asked.requests, due).run()
            work, busy = Work.so_far(server).since(work), machine_seconds(self._core)[0] - busy
            server.settle()  # the last copies go when the answers are out
            rows = server.compared() - rows
        outcomes = [self._asked.outcome(number, answer) for number, answer in enumerate(record.answers)]
        course = Course.of(record, outcomes, self._asked.deadline_s)
        return Half(course, rows, work, busy, RAMP_S, record.behind)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--load", type=float, default=0.3, help="as a part of the most (default: %(default)s)")
    parser.add_argument("--rate", type=float, help="in requests a second, instead")
    parser.add_argument("--seconds", type=float, default=8, help="of one run, after its first second")
    parser.add_argument("--tries", type=int, default=3, help="of a pair that is void or disturbed by other programs")
    parser.add_argument("--patience", type=float, default=10, help="seconds to wait for a quiet machine before another")
    parser.add_argument("--quick", action="store_true", help="three pairs of three-second runs")
    options = parser.parse_args()
    if options.quick:
        options.pairs, options.seconds = 3, 3
    return options


if __name__ == "__main__":
    sys.exit(main())
