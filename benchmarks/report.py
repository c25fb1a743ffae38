"""What was measured, as Markdown: medians over the rounds, and ratios taken within each round."""

from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple

from load import Cell, Figures
from peer import PEERS
from server import Memory


class Start(NamedTuple):
    seconds: float
    memory: Memory


class Run(NamedTuple):
    target: str
    cell: Cell
    round: int
    figures: Figures


class Results(NamedTuple):
    starts: dict[tuple[str, str], list[Start]]  # by target and subject
    runs: list[Run]
    failures: list[str]

    def of(self, target: str | None, cell: Cell) -> dict[int, Figures]:
        """By round."""
        return {run.round: run.figures for run in self.runs if (run.target, run.cell) == (target, cell)}

    def ratio(self, target: str, other: str | None, cell: Cell, figure: Callable[[Figures], float]) -> float | None:
        """The median of the rounds' ratios: the machine's drift from round to round does not touch it.

        A round in which `other` answered nothing in time has none.
        """
        ours, theirs = self.of(target, cell), self.of(other, cell)
        ratios = [figure(ours[n]) / figure(theirs[n]) for n in ours.keys() & theirs.keys() if figure(theirs[n])]
        return median(ratios) if ratios else None

    def best(self, targets: Iterable[str], cell: Cell) -> str | None:
        """Who of them answered the most rows, without an error."""
        rates = {target: [run.rows_s for run in self.of(target, cell).values()] for target in targets}
        fit = [target for target in rates if rates[target] and not self.errors(target, cell)]
        return max(fit, key=lambda target: median(rates[target]), default=None)

    def errors(self, target: str, cell: Cell) -> int:
        return sum(run.errors for run in self.of(target, cell).values())


class Goal(NamedTuple):
    """`penstock` against `other` in `cell`: at least `bound`, or at most where it is a latency."""

    cell: str
    other: str
    bound: float
    latency: bool = False

    def line(self, results: Results) -> str:
        what = "p50" if self.latency else "throughput"
        ratio = results.ratio("penstock", self.other, Cell.parse(self.cell), p50 if self.latency else rows_s)
        if ratio is None:
            return ""
        met = ratio <= self.bound if self.latency else ratio >= self.bound
        limit = f"at {'most' if self.latency else 'least'} {self.bound}"
        return f"- {self.cell} {what}, penstock / {self.other}: {ratio:.2f} ({limit}: {'met' if met else 'missed'})"


def p50(figures: Figures) -> float:
    return figures.p50_ms


def rows_s(figures: Figures) -> float:
    return figures.rows_s


GOALS = (
    Goal("iris:1x64", "naive", 14),
    Goal("iris:1x64", "bare", 0.45),
    Goal("iris:1x1", "bare", 2.5, latency=True),
    Goal("iris:1x1", "naive", 0.33, latency=True),
    Goal("iris:100x8", "naive", 8),
    Goal("forest:1x64", "naive", 100),
    Goal("forest:100x8", "naive", 8),
    Goal("forest:1000x2", "naive", 5),
)


def report(results: Results, targets: list[str], cells: list[Cell]) -> str:
    sections = [
        table(results, targets, cells),
        starts(results),
        "\n".join(filter(None, (goal.line(results) for goal in GOALS))),
        noise(results),
        "\n".join(f"- disqualified: {failure}" for failure in results.failures),
    ]
    return "\n\n".join(section for section in sections if section)


def table(results: Results, targets: list[str], cells: list[Cell]) -> str:
    peers = [target for target in targets if target in PEERS]
    others = [name for name in ("naive", "bare") if name in targets]
    head = (
        "work",
        "server",
        "requests/s",
        "rows/s",
        "rows/core s",
        "p50 ms",
        "p99 ms",
        *(f"× {name}" for name in others),
    )
    rows = []
    for cell in cells:
        against = others + ([results.best(peers, cell)] if peers else [])
        rows += [row(results, target, cell, against) for target in targets if results.of(target, cell)]
    return markdown((*head, "× best peer") if peers else head, rows)


def row(results: Results, target: str, cell: Cell, against: Iterable[str | None]) -> list[str]:
    runs = results.of(target, cell).values()
    names = ("requests_s", "rows_s", "rows_core_s", "p50_ms", "p99_ms")
    middles = [median(getattr(run, name) for run in runs) for name in names]
    errors = results.errors(target, cell)
    name = f"{target} **disqualified: {errors} errors**" if errors else target
    ratios = [results.ratio(target, other, cell, rows_s) for other in against]
    return [str(cell), name, *map(number, middles), *("–" if r is None else f"{r:.2f}" for r in ratios)]


def starts(results: Results) -> str:
    head = ("start", "model", "first right answer s", "RSS MB", "PSS MB", "processes")
    rows = []
    for (target, subject), seen in results.starts.items():
        memory = [start.memory for start in seen]
        middles = [f"{median(getattr(m, name) for m in memory):.0f}" for name in Memory._fields]
        rows.append([target, subject, f"{median(start.seconds for start in seen):.2f}", *middles])
    return markdown(head, rows)


def noise(results: Results) -> str:
    if not results.runs:
        return ""
    others, steal = (max(getattr(run.figures, name) for run in results.runs) for name in ("others", "steal"))
    return f"Other programs used at most {others:.2f} cores during a run; {steal:.2f} were stolen from this machine."


def markdown(head: tuple[str, ...], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
