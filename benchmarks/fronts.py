"""What a front costs, and what a second one brings: prints a line and a Markdown table.

    python benchmarks/fronts.py              about three minutes
    python benchmarks/fronts.py --quick      one

All processes and wrk share the cores of this machine, as they do where two fronts are worth while; rounds are
interleaved, each with fresh servers, and ratios are taken within a round. Needs wrk.
"""

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

from load import Cell, Figures, drive
from report import markdown, number
from server import Server
from subjects import Subject, fitted
from targets import Target, serve

CELL = Cell("iris", 1, 64)
FRONTS = (1, 2)


class Idle(NamedTuple):
    """What a front takes that nobody asks."""

    cpu: float  # in per cent of a core
    rss: float  # MB
    pss: float


def main() -> int:
    options = parse()
    if shutil.which("wrk") is None:
        print("fronts: needs wrk (apt-get install wrk)", file=sys.stderr)
        return 1
    rounds: dict[int, list[Figures]] = {fronts: [] for fronts in FRONTS}
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        folder = Path(name)
        subject = fitted({CELL.subject}, folder)[CELL.subject]
        idle = idling(subject, folder, options.idle)
        for _ in range(options.rounds):
            for fronts, figures in rounds.items():
                figures.append(measured(fronts, subject, folder, options.seconds))
    print(f"An idle front: {idle.cpu:.2f} % of a core, RSS {idle.rss:.1f} MB, PSS {idle.pss:.1f} MB\n")
    print(table(rounds))
    return int(any(figures.errors for run in rounds.values() for figures in run))


def with_fronts(fronts: int) -> Target:
    """Penstock with so many, serving the ONNX."""
    return Target(
        f"penstock-{fronts}",
        lambda subject, port, log: [*serve(port, log), "--workers", str(fronts), str(subject.onnx)],
    )


def idling(subject: Subject, folder: Path, seconds: float) -> Idle:
    """One of two fronts that have answered a few requests and now wait, over `seconds`."""
    with Server(with_fronts(2), subject, folder, None) as server:
        server.settle()
        (front, *_) = [pid for pid, name in server.processes().items() if "penstock.front" in name]
        before = server.cpu()[front]
        time.sleep(seconds)
        used = server.cpu()[front] - before
        memory = server.memory([front])
        return Idle(100 * used / seconds, memory.rss, memory.pss)


def measured(fronts: int, subject: Subject, folder: Path, seconds: float) -> Figures:
    with Server(with_fronts(fronts), subject, folder, None) as server:
        drive(server, CELL, 1, folder, None)
        server.settle()
        figures = drive(server, CELL, seconds, folder, None)
    print(f"{fronts}: {figures.requests_s:,.0f} requests/s, p99 {figures.p99_ms:.2f} ms", file=sys.stderr, flush=True)
    return figures


def table(rounds: dict[int, list[Figures]]) -> str:
    head = (str(CELL), "requests/s", "p50 ms", "p99 ms", "× one front", "errors")
    return markdown(head, [row(fronts, figures, rounds[1]) for fronts, figures in rounds.items()])


def row(fronts: int, figures: list[Figures], alone: list[Figures]) -> list[str]:
    middles = [median(getattr(run, name) for run in figures) for name in ("requests_s", "p50_ms", "p99_ms")]
    ratio = median(run.requests_s / one.requests_s for run, one in zip(figures, alone, strict=True))
    errors = sum(run.errors for run in figures)
    return [f"{fronts} front{'s' * (fronts > 1)}", *map(number, middles), f"{ratio:.2f}", str(errors)]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5, help="of one run")
    parser.add_argument("--idle", type=float, default=20, help="seconds for which a front is left alone")
    parser.add_argument("--quick", action="store_true", help="two rounds of two-second runs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2
    return options


if __name__ == "__main__":
    sys.exit(main())
