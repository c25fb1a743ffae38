"""Measures what an answer that is kept costs, beside one that the model gives, for a quick and for a slow model.

    python benchmarks/cached.py                                      about ten minutes
    python benchmarks/cached.py --quick                              three minutes
    python benchmarks/cached.py --modes off,hits --subjects iris     a part of it

The same service four times: without a cache (off), with one that knows no request (misses), with one that knows all of
them (hits), and with one that sees for itself whether it pays (auto), where all of them come again. Rounds are
interleaved, each with fresh services, all of one on one core, the load on another; every service must first give the
model's own answers. Needs wrk.
"""

import argparse
import http.client
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from load import DISTURBING, Cell, Cores, Figures, apart, calm, drive
from report import markdown
from server import Server
from subjects import Subject, fitted
from targets import Target, batched, penstock

MODES = {
    "off": (),
    "misses": ("--cache-mode", "on", "--cache-rows", "1"),
    "hits": ("--cache-mode", "on"),
    "auto": ("--cache-mode", "auto"),
}
SUBJECTS = {"iris": penstock, "forest": batched}
"""Compiled, of which a row takes some 5 µs, and a forest of 100 trees as it was trained, of which it takes 4 ms."""
CONNECTIONS = (1, 64)
ROWS = re.compile(r'^penstock_cache_rows_total\{.*?result="(\w+)".*?\} (\S+)$', re.MULTILINE)


class Seen(NamedTuple):
    """One run: microseconds of processor time that a request cost the front, and the whole service; rows of a hundred
    that were kept."""

    figures: Figures
    front_us: float
    service_us: float
    kept_percent: float


Case = tuple[str, int, str]  # subject, connections, mode


def main() -> int:
    options = parse()
    cores = apart()
    if cores is None:
        return 1
    seen: dict[Case, list[Seen]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        subjects = fitted(set(options.subjects), Path(folder))
        for number in range(1, options.rounds + 1):
            for subject in subjects.values():
                for mode in options.modes:
                    for connections, run in visit(subject, mode, Path(folder), cores, options):
                        seen[subject.name, connections, mode].append(run)
                        rate = f"{run.figures.requests_s:,.0f} requests/s"
                        say(f"round {number} {subject.name} x{connections} {mode}: {rate}")
    print(report(seen))
    return int(any(run.figures.errors for runs in seen.values() for run in runs))


def command(mode: str, subject: Subject, port: int, log: Path) -> list[str]:
    return [*SUBJECTS[subject.name](subject, port, log), *MODES[mode]]


def visit(
    subject: Subject, mode: str, folder: Path, cores: Cores, options: argparse.Namespace
) -> list[tuple[int, Seen]]:
    """One service, started, checked, and driven by few and by many."""
    with Server(Target(mode, partial(command, mode)), subject, folder, cores.server) as server:
        runs = []
        for connections in CONNECTIONS:
            cell = Cell(subject.name, 1, connections)
            drive(server, cell, options.warmup, folder, cores.load)
            runs.append((connections, undisturbed(server, cell, folder, cores, options)))
        return runs


def undisturbed(server: Server, cell: Cell, folder: Path, cores: Cores, options: argparse.Namespace) -> Seen:
    """The first run in which other programs used little, or else the one in which they used least."""
    tried: list[Seen] = []
    while len(tried) < options.tries:
        if tried:
            calm(DISTURBING, options.patience)
        server.settle()
        before = looked_up(server)
        figures = drive(server, cell, options.seconds, folder, cores.load)
        rows = {result: n - before.get(result, 0) for result, n in looked_up(server).items()}
        requests_s = figures.requests_s
        fronts = sum(use for name, use in figures.cpu.items() if "penstock.front" in name)
        tried.append(
            Seen(
                figures,
                fronts / requests_s * 1e6,
                sum(figures.cpu.values()) / requests_s * 1e6,
                100 * rows.get("hit", 0) / (sum(rows.values()) or 1),
            )
        )
        if figures.errors or figures.others <= DISTURBING:
            return tried[-1]
    return min(tried, key=lambda run: run.figures.others)


def looked_up(server: Server) -> dict[str, float]:
    """Rows so far, by what was found of them."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        connection.request("GET", "/metrics")
        return {result: float(rows) for result, rows in ROWS.findall(connection.getresponse().read().decode())}
    finally:
        connection.close()


def report(seen: dict[Case, list[Seen]]) -> str:
    """Medians over the rounds."""
    head = (
        "model",
        "connections",
        "cache",
        "requests/s",
        "p50 ms",
        "p99 ms",
        "front µs",
        "service µs",
        "kept",
        "others",
        "errors",
    )
    return markdown(head, (row(case, runs) for case, runs in sorted(seen.items(), key=place)))


def place(of: tuple[Case, list[Seen]]) -> tuple[str, int, int]:
    (subject, connections, mode), _ = of
    return subject, connections, list(MODES).index(mode)


def row(case: Case, runs: list[Seen]) -> list[str]:
    subject, connections, mode = case
    figures = [run.figures for run in runs]
    return [
        subject,
        f"{connections}",
        mode,
        f"{median(each.requests_s for each in figures):,.0f}",
        f"{median(each.p50_ms for each in figures):.3f}",
        f"{median(each.p99_ms for each in figures):.3f}",
        f"{median(run.front_us for run in runs):.1f}",
        f"{median(run.service_us for run in runs):.1f}",
        f"{median(run.kept_percent for run in runs):.0f} %",
        f"{max(each.others for each in figures):.2f}",
        f"{sum(each.errors for each in figures)}",
    ]


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", type=partial(some_of, SUBJECTS), default=list(SUBJECTS))
    parser.add_argument("--modes", type=partial(some_of, MODES), default=list(MODES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="of one run")
    parser.add_argument("--warmup", type=float, default=3, help="seconds of the same load before each run")
    parser.add_argument("--patience", type=float, default=10, help="seconds to wait for a quiet machine")
    parser.add_argument("--tries", type=int, default=3, help="of a run that other programs disturb")
    parser.add_argument("--quick", action="store_true", help="two rounds of one-second runs")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 1
    return options


def some_of(known: Mapping[str, object], text: str) -> list[str]:
    """`off,hits`."""
    if unknown := set(text.split(",")) - known.keys():
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: there are {', '.join(known)}")
    return text.split(",")


if __name__ == "__main__":
    sys.exit(main())
