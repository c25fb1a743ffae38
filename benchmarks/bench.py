"""Measures servers of the same models side by side, and prints a Markdown table.

    python benchmarks/bench.py                                                   about a quarter of an hour
    python benchmarks/bench.py --quick                                           three to four minutes
    python benchmarks/bench.py --targets penstock,bare --cells iris:1x64         a part of it
    python benchmarks/bench.py --targets penstock --cells iris:1x64 --profile    where the time goes
    python benchmarks/bench.py --peers                                           beside other projects' servers

Rounds are interleaved (A B C, A B C), each with fresh servers; a server has all its processes on one core, and the load
has another. Every server must first give the model's own answers, alone, to many at once and in a batch; an error under
load disqualifies it. A run is made again while other programs disturb it. Needs wrk.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from load import DISTURBING, Cell, Cores, Figures, apart, calm, drive
from peer import PEERS, unbuilt
from report import Results, Run, Start, report
from sampling import profile
from server import Server, WrongAnswer
from subjects import Subject, fitted
from targets import TARGETS, Target
from versions import versions

SERVERS = TARGETS | PEERS
LADDER = "naive,lane,batched,penstock,bare"
BESIDE_PEERS = f"naive,batched,penstock,{','.join(PEERS)}"
CELLS = "iris:1x1,iris:1x64,iris:100x8,iris:1000x2,forest:1x1,forest:1x64,forest:100x8,forest:1000x2"


def main() -> int:
    options = parse()
    cores = apart()
    if cores is None:
        return 1
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        bench = Bench(options, Path(folder), cores)
        for number in range(1, options.rounds + 1):
            bench.round(number)
    if not options.profile:
        print(report(bench.results, options.targets, options.cells), versions(options.targets, SERVERS), sep="\n\n")
    return int(bool(bench.results.failures))


class Bench:
    """Rounds of servers and their cells, and what came of them."""

    def __init__(self, options: argparse.Namespace, folder: Path, cores: Cores) -> None:
        self.options, self.folder, self._cores = options, folder, cores
        self.results = Results(defaultdict(list), [], [])
        self._subjects = fitted({cell.subject for cell in options.cells}, folder)

    def round(self, number: int) -> None:
        for subject in self._subjects.values():
            for name in self.options.targets:
                try:
                    self._visit(SERVERS[name], subject, number)
                except (RuntimeError, WrongAnswer, ValueError, OSError) as error:
                    self.results.failures.append(f"{name}, {subject.name}, round {number}: {error}")
                    say(self.results.failures[-1])

    def _visit(self, target: Target, subject: Subject, number: int) -> None:
        """One server: started, checked, driven through its cells, stopped."""
        with Server(target, subject, self.folder, self._cores.server) as server:
            server.settle()
            self.results.starts[target.name, subject.name].append(Start(server.started_s, server.memory()))
            for cell in self.options.cells:
                if cell.subject != subject.name:
                    continue
                if self.options.profile:
                    print(profile(server, cell, self.options.seconds, self.folder, self._cores.load), flush=True)
                else:
                    self._measure(server, cell, number)

    def _measure(self, server: Server, cell: Cell, number: int) -> None:
        if self.options.warmup:
            drive(server, cell, self.options.warmup, self.folder, self._cores.load)
            server.settle()
        figures = self._undisturbed(server, cell)
        self.results.runs.append(Run(server.target.name, cell, number, figures))
        split = ", ".join(f"{name} {use:.2f}" for name, use in figures.cpu.items() if use >= 0.01)
        say(
            f"round {number} {server.target.name} {cell}: {figures.requests_s:,.0f} requests/s, "
            f"p50 {figures.p50_ms:.2f} ms, p99 {figures.p99_ms:.2f} ms, {figures.errors} errors; cores: {split}"
        )

    def _undisturbed(self, server: Server, cell: Cell) -> Figures:
        """The first run in which other programs used little, or else the one in which they used least."""
        tried: list[Figures] = []
        while len(tried) < self.options.tries:
            if tried:
                calm(DISTURBING + server.target.idle, self.options.patience)
                server.settle()
            figures = drive(server, cell, self.options.seconds, self.folder, self._cores.load)
            if figures.errors or figures.others <= DISTURBING:
                return figures
            say(f"void: other programs used {figures.others:.2f} cores")
            tried.append(figures)
        return min(tried, key=lambda figures: figures.others)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--targets", type=names, help=f"of {', '.join(SERVERS)} (default: {LADDER})")
    parser.add_argument("--peers", action="store_true", help=f"the same as --targets {BESIDE_PEERS}")
    parser.add_argument("--cells", type=cells, default=CELLS, help="subject:rows×connections,… (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5, help="of one run")
    parser.add_argument("--warmup", type=float, default=1, help="seconds of the same load before each run")
    parser.add_argument(
        "--patience", type=float, default=10, help="seconds to wait for a quiet machine after a void run"
    )
    parser.add_argument("--tries", type=int, default=3, help="of a run that other programs disturb")
    parser.add_argument("--quick", action="store_true", help="two rounds of one-second runs")
    parser.add_argument("--profile", action="store_true", help="py-spy instead of timing")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 1
    options.targets = options.targets or (BESIDE_PEERS if options.peers else LADDER).split(",")
    if missing := unbuilt(options.targets):
        parser.error(f"{', '.join(missing)}: no environment yet; `make bench-peers` builds it, then measures")
    return options


def names(text: str) -> list[str]:
    """`naive,bare`."""
    if unknown := set(text.split(",")) - SERVERS.keys():
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: no such target; there are {', '.join(SERVERS)}")
    return text.split(",")


def cells(text: str) -> list[Cell]:
    """`iris:1x64,forest:1x1`."""
    return [Cell.parse(cell) for cell in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
