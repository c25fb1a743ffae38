"""Measures what keys, quotas and a cache cost a load that never hits the cache, and prints a Markdown table.

    python benchmarks/gate.py                 about three minutes
    python benchmarks/gate.py --quick         half a minute

Two services of the same model run beside each other on one core, one without any of it and one with all of it, and are
driven in turn from another core, each burst beside one of the other service: only such pairs are compared. No two rows
are the same, every request comes with a key, and the quota is one that nobody reaches.
"""

import argparse
import http.client
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import NamedTuple

from load import DISTURBING, Cell, Cores, Figures, apart, calm, drive
from pairs import Spread
from report import markdown, number
from server import Server
from subjects import Subject, fitted
from targets import Target, penstock

SUBJECT = "iris"
CELLS = "iris:1x1,iris:1x64,iris:100x8"
LEAST = 0.85  # of the requests without
KEY = secrets.token_hex()
NEVER_REACHED = "900000000/s"
SCRIPT = Path(__file__).with_name("distinct.lua")
HITS = re.compile(r'^penstock_cache_rows_total\{.*?result="hit".*?\} (\S+)$', re.MULTILINE)
BURST_ROWS = 1_000_000  # more than a burst has requests: so no row comes twice


class Pair(NamedTuple):
    """A burst of each service, one just after the other."""

    without: Figures
    gated: Figures

    @property
    def ratio(self) -> float:
        return self.gated.requests_s / self.without.requests_s

    @property
    def work(self) -> float:
        """Processor time for each request."""
        return self.without.rows_core_s / self.gated.rows_core_s

    @property
    def others(self) -> float:
        return max(self.without.others, self.gated.others)


def main() -> int:
    options = parse()
    cores = apart()
    if cores is None:
        return 1
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        subject = fitted({SUBJECT}, folder)[SUBJECT]
        keys = f"bench: {{sha256: {sha256(KEY.encode()).hexdigest()}, rights: [predict]}}\n"
        (folder / "penstock.keys").write_text(f"{keys}anonymous: {{rights: [predict, read]}}\n")
        servers = [
            stack.enter_context(Server(target, subject, folder, cores.server))
            for target in (Target("penstock", penstock), Target("gated", partial(gated, options.cache_mode)))
        ]
        bench = Bench(options, servers, folder, cores)
        before = hits_of(servers[1])  # when it was checked, it was asked the same rows alone and in batches
        rows = [row(cell, list(bench.pairs(cell))) for cell in options.cells]
        hits = hits_of(servers[1]) - before
    head = ("work", "pairs", "requests/s", "with", "p99 ms", "with", "× requests/s", "quartiles", "× CPU", "others")
    print(markdown((*head, "errors"), rows))
    print(f"\nAt least {LEAST} times the requests of the service without; {hits} rows came from the cache (none).")
    return int(hits > 0 or bench.errors > 0)


class Bench:
    """Bursts on two services, alternating which of them comes first."""

    def __init__(self, options: argparse.Namespace, servers: list[Server], folder: Path, cores: Cores) -> None:
        self._options, self._servers, self._folder, self._cores = options, servers, folder, cores
        self._bursts = 0
        self.errors = 0

    def pairs(self, cell: Cell) -> Iterator[Pair]:
        for server in self._servers:
            self._burst(server, cell)
        for number_ in range(self._options.pairs):
            calm(DISTURBING, self._options.patience)
            order = self._servers if number_ % 2 else self._servers[::-1]
            seen = {server.target.name: self._burst(server, cell) for server in order}
            yield Pair(seen["penstock"], seen["gated"])

    def _burst(self, server: Server, cell: Cell) -> Figures:
        self._bursts += 1
        said = {"KEY": KEY, "START": str(self._bursts * BURST_ROWS)}
        figures = drive(server, cell, self._options.seconds, self._folder, self._cores.load, SCRIPT, said)
        self.errors += figures.errors
        return figures


def row(cell: Cell, pairs: list[Pair]) -> list[str]:
    spread = Spread.of([pair.ratio for pair in pairs])
    verdict = "met" if spread.median >= LEAST else "missed"
    return [
        str(cell),
        str(len(pairs)),
        *(
            number(median(getattr(half, name) for half in halves))
            for name in ("requests_s", "p99_ms")
            for halves in sides(pairs)
        ),
        f"{spread.median:.3f} ({verdict})",
        f"{spread.lower:.3f} to {spread.upper:.3f}",
        f"{median(pair.work for pair in pairs):.3f}",
        f"{max(pair.others for pair in pairs):.2f}",
        str(sum(half.errors for halves in sides(pairs) for half in halves)),
    ]


def sides(pairs: list[Pair]) -> tuple[list[Figures], list[Figures]]:
    return [pair.without for pair in pairs], [pair.gated for pair in pairs]


def gated(cache_mode: str, subject: Subject, port: int, log: Path) -> list[str]:
    quota = ["--quota-requests", NEVER_REACHED, "--quota-rows", NEVER_REACHED]
    return [*penstock(subject, port, log), "--keys", "penstock.keys", *quota, "--cache-mode", cache_mode]


def hits_of(server: Server) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", "/metrics")
    told = connection.getresponse().read().decode()
    connection.close()
    found = HITS.findall(told)
    if not found:
        raise RuntimeError("nothing is told of the cache")
    return sum(round(float(count)) for count in found)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=CELLS, help="model:rowsxconnections, ... (default: %(default)s)")
    parser.add_argument("--cache-mode", choices=("on", "auto"), default="on", help="(default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=2, help="of one burst")
    parser.add_argument("--patience", type=float, default=10, help="seconds to wait for a quiet machine before a pair")
    parser.add_argument("--quick", action="store_true", help="three pairs of bursts of one second")
    options = parser.parse_args()
    options.cells = [Cell.parse(text) for text in options.cells.split(",")]
    if options.quick:
        options.pairs, options.seconds = 3, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
