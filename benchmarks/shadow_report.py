"""What a shadow costs the version that answers, as Markdown: each pair, then their median and spread."""

from collections import Counter
from collections.abc import Sequence
from statistics import median

from load import DISTURBING
from pairs import COMPARED, Half, Pair, Spread
from report import markdown, number

MOST = 1.05  # times the p99 without
MISSED = ("failed", "lost", "dropped")


def report(pairs: Sequence[Pair]) -> str:
    valid = [pair for pair in pairs if not pair.void]
    sections = [
        table(pairs),
        "\n".join(f"- **void**, pair {n}: {pair.void}" for n, pair in enumerate(pairs, 1) if pair.void),
        "\n".join(f"- **wrong**, pair {n}: {fault}" for n, pair in enumerate(pairs, 1) for fault in pair.faults()),
        "\n".join([slower(valid, len(pairs)), failed(pairs), rows(pairs)]),
        work(valid) if valid else "",
    ]
    return "\n\n".join(filter(None, sections))


def table(pairs: Sequence[Pair]) -> str:
    """The second of two like columns is with the shadow. `others` are the cores that other programs used."""
    head = ("pair", "first", "p50 ms", "with", "p99 ms", "with", "× p99", "others")
    counts = ("compared without", "with", "missed", "failed")
    return markdown((*head, *counts), (row(place, pair) for place, pair in enumerate(pairs, 1)))


def row(place: int, pair: Pair) -> list[str]:
    without, shadowed = pair.without.latencies, pair.shadowed.latencies
    return [
        f"{place}" + " **void**" * bool(pair.void),
        "with" if pair.reverse else "without",
        *map(number, (without.p50, shadowed.p50, without.p99, shadowed.p99)),
        f"{pair.ratio:.3f}",
        f"{pair.others:.2f}",
        f"{pair.without.compared:,}",
        f"{pair.shadowed.compared:,}",
        f"{sum(pair.shadowed.rows[result] for result in MISSED):,}",
        f"{pair.without.failed + pair.shadowed.failed:,}",
    ]


def slower(valid: Sequence[Pair], made: int) -> str:
    """The verdict. There is none where some of the pairs that were made are void; and others may have had a part."""
    spread = Spread.of([pair.ratio for pair in valid])
    judged = "void" if len(valid) < made else "met" if spread.median <= MOST else "missed"
    if any(pair.others > DISTURBING for pair in valid):
        judged += ", disturbed"
    return (
        f"- p99 with the shadow / without, median of {len(valid)} pairs: {spread.median:.3f} "
        f"(at most {MOST}: {judged}); least {spread.least:.3f}, "
        f"quartiles {spread.lower:.3f} and {spread.upper:.3f}, greatest {spread.greatest:.3f}"
    )


def failed(pairs: Sequence[Pair]) -> str:
    halves = both(pairs)
    count, asked = sum(half.failed for half in halves), sum(half.course.sent for half in halves)
    return f"- failed: {count:,} of {asked:,} requests, {count / asked:.3%} (none: {'missed' if count else 'met'})"


def rows(pairs: Sequence[Pair]) -> str:
    """What became of all the copies."""
    total: Counter[str] = sum((pair.shadowed.rows for pair in pairs), Counter())
    told = ", ".join(f"{total[result]:,} {result}" for result in (*COMPARED, *MISSED))
    return f"- rows with the shadow: {told}"


def work(valid: Sequence[Pair]) -> str:
    """How full the service's core was, and how much of that was the front's."""
    sides = {"without": [pair.without for pair in valid], "with": [pair.shadowed for pair in valid]}
    told = (
        f"{median(half.a_second(half.busy_s) for half in halves):.0%} busy {name} the shadow, "
        f"{median(half.a_second(half.work.front) for half in halves):.0%} by the front"
        for name, halves in sides.items()
    )
    others = max(pair.others for pair in valid)
    return f"The service's core was {'; '.join(told)}. Other programs used at most {others:.2f} cores during a run."


def both(pairs: Sequence[Pair]) -> list[Half]:
    return [half for pair in pairs for half in (pair.without, pair.shadowed)]
