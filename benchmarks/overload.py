"""Asks a server for more than it can do, and prints what it makes of that as Markdown tables.

    python benchmarks/overload.py                              about five minutes
    python benchmarks/overload.py --quick                      three
    python benchmarks/overload.py --cases sleeper:100          one model and one deadline, in milliseconds
    python benchmarks/overload.py --cases sleeper:1000:50      with a limit on the wait for the model
    python benchmarks/overload.py --generator                  what the load itself can do

First the capacity is measured in a closed loop, then requests of one row arrive at multiples of it, at times drawn
beforehand and whatever became of those before them; at last the load drops from the highest multiple to the lowest. The
server has all its processes on one core, the load another. Needs wrk.
"""

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from asked import Asked, sleeper
from connections import Connections
from load import Cell, Cores, apart, drive
from openloop import Load, Record, arrivals
from overload_report import ceiling, report
from results import Case, Results
from server import Server
from step import Step, take
from subjects import Subject, fitted
from targets import TARGETS, Target, penstock

CASES = "sleeper:1000:50,sleeper:100,forest:1000:50"
LOADS = "0.5,0.8,1,2,5,10"
RATES = (4_000, 8_000, 12_000, 16_000, 20_000, 24_000)
MAX_ROWS = {"sleeper": 32, "forest": 8}  # ten times what comes of it is still within what the load can send
RAMP_S = 1.0  # and as long as a deadline: until then queues are still filling
FEWEST_CONNECTIONS, MOST_CONNECTIONS = 64, 8000  # a front of Penstock holds 10,000
SEED = 7


def main() -> int:
    options = parse()
    cores = apart()
    if cores is None:
        return 1
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        bench = Bench(options, Path(name), cores)
        if options.generator:
            print(ceiling(bench.generator()))
            return 0
        results = [bench.measure(case) for case in options.cases]
    print("\n\n".join(map(report, results)))
    return int(any(step.void for result in results for _, step in result.all_steps()))


class Bench:
    """Servers, and what came of each under every load."""

    def __init__(self, options: argparse.Namespace, folder: Path, cores: Cores) -> None:
        self._seconds, self._calm_s, self._loads = options.seconds, options.calm, options.loads
        self._folder, self._cores = folder, cores
        self._subjects = fitted({case.subject for case in options.cases}, folder) | {"sleeper": sleeper()}

    def measure(self, case: Case) -> Results:
        """One server: its capacity, then every load, then the drop."""
        subject = self._subjects[case.subject]
        asked = Asked.of(subject, case.deadline_ms)
        ramp_s = RAMP_S + asked.deadline_s
        with Server(
            Target(case.subject, partial(bounded, case.wait_ms)), subject, self._folder, self._cores.server
        ) as server:
            peak = self._peak(server, subject)
            say(f"{case}: {peak:,.0f} requests/s in a closed loop")
            steps = {}
            for load in self._loads:
                due = arrivals(load * peak, ramp_s + self._seconds, SEED)
                steps[load] = take(server, asked, due, connections_for(load * peak, asked))
                say(f"{case} at {load:g}: {told(steps[load])}")
            most, least = max(self._loads) * peak, min(self._loads) * peak
            due = np.concatenate([arrivals(most, ramp_s, SEED), ramp_s + arrivals(least, self._calm_s, SEED)])
            drop = take(server, asked, due, connections_for(most, asked))
        say(f"{case}, the load drops: {told(drop)}")
        return Results(case, peak, ramp_s, steps, drop)

    def _peak(self, server: Server, subject: Subject) -> float:
        """Answers a second, but for refusals, when a request leaves with each answer."""
        server.settle()
        cell = Cell(subject.name, 1, 2 * MAX_ROWS[subject.name])  # one batch is computed while the other fills
        figures = drive(server, cell, self._seconds, self._folder, self._cores.load)
        seconds: float = self._seconds
        return figures.requests_s - figures.errors / seconds

    def generator(self) -> dict[int, Record]:
        """The load on an application that does nothing, at each of RATES."""
        subject = self._subjects["sleeper"]
        asked = Asked.of(subject, 1000)
        records = {}
        with Server(TARGETS["bare"], subject, self._folder, self._cores.server) as server:
            for rate in RATES:
                with Connections(server.port, connections_for(rate, asked)) as connections:
                    server.settle()
                    records[rate] = Load(connections, asked.requests, arrivals(rate, self._seconds, SEED)).run()
        return records


def bounded(wait_ms: int | None, subject: Subject, port: int, log: Path) -> list[str]:
    """As it was trained, and in batches of so few rows that its capacity can be exceeded tenfold."""
    limit = [] if wait_ms is None else ["--queue-wait-ms", str(wait_ms)]
    return [*penstock(subject, port, log), "--compile", "off", "--max-rows", str(MAX_ROWS[subject.name]), *limit]


def connections_for(rate: float, asked: Asked) -> int:
    """For all that may be under way, where everybody waits a second longer than until the deadline."""
    return round(min(MOST_CONNECTIONS, FEWEST_CONNECTIONS + rate * (asked.deadline_s + 1)))


def told(step: Step) -> str:
    outcomes = ", ".join(f"{count:,} × {outcome}" for outcome, count in sorted(step.course.counts.items()))
    return "; ".join([outcomes, *(f"void: {reason}" for reason in step.void)])


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cases", type=cases, default=CASES, help="model:deadline in ms[:longest wait],… (default: %(default)s)"
    )
    parser.add_argument("--loads", type=loads, default=LOADS, help="multiples of the capacity (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=6, help="of each load, once it has lasted")
    parser.add_argument("--calm", type=float, default=6, help="seconds after the load has dropped")
    parser.add_argument("--generator", action="store_true", help="measure the load on a server that does nothing")
    parser.add_argument("--quick", action="store_true", help="two seconds of each load")
    options = parser.parse_args()
    if options.quick:
        options.seconds = 2
    return options


def cases(text: str) -> list[Case]:
    """`sleeper:100,forest:1000:50`."""
    return [Case.parse(case) for case in text.split(",")]


def loads(text: str) -> list[float]:
    """`0.5,2`."""
    return [float(load) for load in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
