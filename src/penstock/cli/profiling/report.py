"""The report of a profile, for a person."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from penstock.cli.profiling.stages import REST, STAGES, Load
from penstock.cli.table import table
from penstock.model.control import HotSpot, Profiled

SHOWN = 8  # hot spots
LONGEST = 60


class Report(Struct, frozen=True, kw_only=True):
    """All that was found of a model."""

    model: str
    version: str
    path: str
    runtime: str
    compiled: str | None
    loads: tuple[Load, ...]
    profile: Profiled
    advice: tuple[str, ...]


def lines(report: Report) -> Iterator[str]:
    yield f"{report.model} {report.version}  {report.path}"
    yield f"  runs on {report.runtime}" + (f"; compiled: {report.compiled}" if report.compiled else "")
    yield "\n  where the time of a request goes (mean)"
    yield table(list(_stages(report.loads)), indent="    ")
    graph = ": it is one graph, and its run a single call" if report.runtime == "onnxruntime" else ""
    spots = report.profile.spots
    yield f"\n  hot spots of the model{graph}"
    yield table(list(_spots(report.profile, sorted(spots, key=lambda spot: -spot.total_s))), indent="    ")
    yield "\n  and by their own time"
    yield table(list(_spots(report.profile, sorted(spots, key=lambda spot: -spot.own_s))), indent="    ")
    yield "\n  what would help"
    yield from (f"    - {each}" for each in report.advice)


def _stages(loads: Sequence[Load]) -> Iterator[list[str]]:
    yield ["", *(f"{load.connections} connection{'' if load.connections == 1 else 's'}" for load in loads)]
    yield ["requests/s", *(f"{load.per_second:,.0f}" for load in loads)]
    for stage in (*STAGES, REST):
        yield [stage, *(_part(load, load.stages_ms[stage]) for load in loads)]
    yield ["round trip", *(f"{load.mean_ms:.3f} ms" for load in loads)]
    yield ["p50, p99", *(f"{load.p50_ms:.3f}, {load.p99_ms:.3f} ms" for load in loads)]
    yield ["rows a batch", *(f"{load.rows:g}" for load in loads)]
    if any(load.errors for load in loads):
        yield ["failed", *(str(load.errors) for load in loads)]


def _part(load: Load, milliseconds: float) -> str:
    return f"{milliseconds:.3f} ms {milliseconds / load.mean_ms if load.mean_ms else 0.0:5.0%}"


def _spots(profile: Profiled, spots: Sequence[HotSpot]) -> Iterator[list[str]]:
    yield ["with calls", "own", "calls", "function"]
    for spot in spots[:SHOWN]:
        name = f"{spot.function}  {spot.where}".rstrip()
        shares = [f"{part / profile.seconds if profile.seconds else 0.0:.0%}" for part in (spot.total_s, spot.own_s)]
        yield [*shares, str(spot.calls), name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"]
