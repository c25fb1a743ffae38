"""The `latency_stats` line: what two merged snapshots say about the time between them."""

from collections.abc import Sequence
from itertools import accumulate
from math import sqrt
from operator import add, sub
from typing import Any

from penstock.observability import catalog
from penstock.observability.metrics import Number, Snapshot

PERCENTILES = {"p50_ms": 0.50, "p95_ms": 0.95, "p99_ms": 0.99}


def latency_stats(previous: Snapshot, merged: Snapshot) -> dict[str, Any] | None:
    """Percentiles (in ms, right to 5 % from 0.1 ms to 100 s), `requests`, and `errors` by code.

    Counts the requests that found a model, since `previous`; None where there were none.
    """
    counts = list(map(sub, _latencies(merged), _latencies(previous)))
    requests = sum(counts)
    if requests <= 0:
        return None
    times = {name: round(percentile(counts, share) * 1000, 3) for name, share in PERCENTILES.items()}
    before, now = _errors(previous), _errors(merged)
    errors = {code: n - before.get(code, 0) for code, n in sorted(now.items()) if n > before.get(code, 0)}
    return {**times, "requests": requests, "errors": errors}


def percentile(counts: Sequence[Number], share: float) -> float:
    """The seconds within which `share` of the requests were answered: the middle of the bucket that holds it."""
    rank = share * sum(counts)
    bucket = next(i for i, up_to in enumerate(accumulate(counts)) if up_to >= rank and up_to > 0)
    edges = catalog.DURATIONS
    if bucket == 0 or bucket == len(edges):
        return edges[0 if bucket == 0 else -1]
    return sqrt(edges[bucket - 1] * edges[bucket])


def _latencies(snapshot: Snapshot) -> list[int]:
    total = [0] * (len(catalog.DURATIONS) + 1)
    for (_, model, _), (_, *counts) in snapshot["histograms"].get(catalog.LATENCY.name, ()):
        if model:
            total = list(map(add, total, counts))
    return total


def _errors(snapshot: Snapshot) -> dict[str, int]:
    errors: dict[str, int] = {}
    for (_, model, _, code), (n,) in snapshot["counters"].get(catalog.ERRORS.name, ()):
        if model:
            errors[code] = errors.get(code, 0) + n
    return errors
