"""Stages: where the service says that the time of its requests went, between two looks at its figures."""

import statistics
from collections.abc import Mapping, Sequence

from msgspec import Struct
from prometheus_client.parser import text_string_to_metric_families

from penstock.cli.profiling.traffic import Traffic
from penstock.observability import catalog

STAGES = ("decode", "queue", "inference", "encode")
REST = "rest"

Figures = Mapping[tuple[str, str], float]
"""Sums and counts of the histograms, by name and stage."""


class Load(Struct, frozen=True, kw_only=True):
    """What so many connections got: requests a second, round trips, and the mean of each stage, in milliseconds.

    The `rest` of a mean round trip is HTTP, the log, the network and the client itself. `rows` is the mean of a batch.
    """

    connections: int
    requests: int
    errors: int
    per_second: float
    mean_ms: float
    p50_ms: float
    p99_ms: float
    rows: float
    stages_ms: dict[str, float]


def figures(text: str) -> Figures:
    """The figures in what /metrics says."""
    wanted = {f"{metric.name}_{kind}" for metric in (catalog.STAGES, catalog.BATCH_ROWS) for kind in ("sum", "count")}
    return {
        (sample.name, sample.labels.get("stage", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name in wanted
    }


def load_of(connections: int, traffic: Traffic, before: Figures, after: Figures) -> Load:
    """What the traffic between the two looks tells."""
    trips = sorted(traffic.trips)
    mean = statistics.fmean(trips) * 1000
    stages = {stage: _mean(catalog.STAGES.name, stage, before, after) * 1000 for stage in STAGES}
    return Load(
        connections=connections,
        requests=len(trips),
        errors=traffic.errors,
        per_second=round(len(trips) / traffic.seconds, 1),
        mean_ms=round(mean, 3),
        p50_ms=_percentile(trips, 0.5),
        p99_ms=_percentile(trips, 0.99),
        rows=round(_mean(catalog.BATCH_ROWS.name, "", before, after), 1),
        stages_ms={name: round(value, 3) for name, value in {**stages, REST: mean - sum(stages.values())}.items()},
    )


def _mean(name: str, stage: str, before: Figures, after: Figures) -> float:
    count, total = (
        after.get(key, 0.0) - before.get(key, 0.0) for key in ((f"{name}_count", stage), (f"{name}_sum", stage))
    )
    return total / count if count else 0.0


def _percentile(ordered: Sequence[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 3)
