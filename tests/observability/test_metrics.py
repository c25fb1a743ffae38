"""Figures: what is counted is kept, however it is added up, and however many labels there are."""

import math
import subprocess
import sys
from bisect import bisect_left
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.metrics import (
    FOLD_AT,
    KINDS,
    Family,
    Figures,
    Gauge,
    Histogram,
    Metric,
    Snapshot,
    merge,
    retire,
)

EDGES = (1.0, 2.0, 5.0)
SEEN = Metric(kind="counters", name="penstock_seen_total", help="…", labels=("who",))
HELD = Metric(kind="gauges", name="penstock_held", help="…", labels=("who",))
MOST = Metric(kind="maxima", name="penstock_most", help="…", labels=("who",))
TOOK = Metric(kind="histograms", name="penstock_took", help="…", labels=("who",), edges=EDGES, shown=EDGES)


def counted(seen: dict[str, int]) -> Snapshot:
    """A process that has counted, holds and has measured this of each."""
    figures = Figures()
    for who, n in seen.items():
        figures.counter(SEEN).child(who).inc(n)
        figures.gauge(HELD).child(who).set(n)
        figures.maximum(MOST).child(who).observe(n)
        figures.histogram(TOOK).child(who).observe(n)
    taken = figures.snapshot()
    received: Snapshot = msgspec.msgpack.decode(msgspec.msgpack.encode(taken))
    assert received == taken
    return received


def total(snapshot: Snapshot, kind: str, name: str) -> list[float]:
    return together(kind, [series[1] for series in snapshot[kind][name]])


def together(kind: str, numbers: list[list[float]]) -> list[float]:
    """The sums of them, or the largest where they are that."""
    return [max(each) if kind == "maxima" else math.fsum(each) for each in zip(*numbers, strict=True)]


processes = st.lists(st.dictionaries(st.text(max_size=3), st.integers(0, 9), min_size=1).map(counted), max_size=5)


def test_a_family_gives_the_same_child_for_the_same_labels() -> None:
    figures = Figures()
    assert figures.counter(SEEN).child(200) is figures.counter(SEEN).child("200")


def test_a_wrong_number_of_labels_is_refused() -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Figures().counter(SEEN).child("a", "b")


def test_counters_grow_and_gauges_come_and_go() -> None:
    figures = Figures()
    figures.counter(SEEN).child("a").inc()
    figures.counter(SEEN).child("a").value += 2
    gauge = figures.gauge(HELD).child("a")
    gauge.set(5)
    gauge.dec(2)
    figures.gauge(HELD).child("b").watch(lambda: 7)
    taken = figures.snapshot()
    assert taken["counters"][SEEN.name] == [[["a"], [3]]]
    assert taken["gauges"][HELD.name] == [[["a"], [3]], [["b"], [7]]]


def test_what_is_measured_anew_forgets_what_is_gone() -> None:
    figures = Figures()
    figures.gauge(HELD).child("a").set(5)
    figures.gauge(HELD).clear()
    assert figures.snapshot()["gauges"][HELD.name] == []


@given(st.lists(st.floats(-1e100, 1e100) | st.sampled_from([math.nan, math.inf, -math.inf]), max_size=200))
def test_every_observation_is_in_its_bucket(values: list[float]) -> None:
    alone, together = Histogram(EDGES), Histogram(EDGES)
    for value in values:
        alone.observe(value)
        alone.numbers()  # folds each by itself, without numpy
    together.observe_many(np.array(values, np.float64).tobytes())
    finite = [value for value in values if math.isfinite(value)]
    expected = [0, 0, 0, len(values) - len(finite)]
    for value in finite:
        expected[bisect_left(EDGES, value)] += 1
    assert alone.numbers()[1:] == together.numbers()[1:] == expected
    rounding = 1e-6 + 1e-9 * sum(
        map(abs, finite)
    )  # which depends on the order, and on who adds: Python 3.12 compensates
    assert together.numbers()[0] == pytest.approx(sum(finite), abs=rounding, nan_ok=True)


def test_many_observations_do_not_pile_up() -> None:
    alone, together = Histogram(EDGES), Histogram(EDGES)
    for _ in range(100):
        together.observe_many(np.ones(1_000).tobytes())
    for _ in range(100_000):
        alone.observe(1.0)
    for histogram in (alone, together):
        assert len(histogram._pending) < FOLD_AT
        assert histogram.numbers() == [100_000.0, 100_000, 0, 0, 0]


@given(processes, st.permutations(range(5)), st.integers(0, 5), st.sampled_from([1, 3, 100]))
def test_merging_gives_the_same_in_any_order_and_grouping(
    snapshots: list[Snapshot], order: list[int], split: int, most: int
) -> None:
    shuffled = [snapshots[i] for i in order if i < len(snapshots)]
    grouped = [merge(shuffled[:split], most), merge(shuffled[split:], most)]
    assert merge(snapshots, most) == merge(shuffled, most) == merge(grouped, most)


@given(processes, st.integers(1, 4))
def test_merging_loses_no_count_and_bounds_the_series(snapshots: list[Snapshot], most: int) -> None:
    merged = merge(snapshots, most)
    for kind in KINDS:
        for name, series in merged[kind].items():
            parts = [total(snapshot, kind, name) for snapshot in snapshots]
            assert total(merged, kind, name) == together(kind, parts)
            assert len(series) <= most + 1


def test_the_largest_that_there_was_stays() -> None:
    figures = Figures()
    for value in (0.5, 2.0, math.nan, -7.0, 1.0):
        figures.maximum(MOST).child("a").observe(value)
    assert figures.snapshot()["maxima"][MOST.name] == [[["a"], [2.0]]]


@given(st.lists(st.text()))
def test_labels_cannot_fill_the_memory(hostile: list[str]) -> None:
    family = Family(HELD, Gauge, most=5)
    for label in [*hostile, "\ud800", "x" * 10_000, "\x00", '"}\n']:
        family.child(label).inc()
    series: Any = family.series()
    assert len(series) <= 6
    assert sum(numbers[0] for _, numbers in series) == len(hostile) + 4
    assert all(len(label.encode()) <= 4 * 128 for (label,), _ in series)


def test_a_hundred_thousand_labels_are_two_thousand_series_and_one() -> None:
    figures = Figures()
    for number in range(100_000):
        figures.counter(SEEN).child(number).value += 1
    series = figures.snapshot()["counters"][SEEN.name]
    assert len(series) == 2_001
    assert series[-1] == [["other"], [98_000]]


@given(processes)
def test_of_a_process_that_ended_the_counts_stay_and_the_gauges_go(snapshots: list[Snapshot]) -> None:
    for snapshot in snapshots:
        retired = retire(snapshot)
        assert retired["gauges"] == {}
        assert all(retired[kind] == snapshot[kind] != {} for kind in KINDS if kind != "gauges")


def test_nothing_here_imports_numpy() -> None:
    program = """
import sys
from penstock.observability import batches, catalog, health, latency, logs, metrics, processes, requests
histogram = metrics.Histogram((1.0,))
for _ in range(5_000):
    histogram.observe(0.5)
assert histogram.numbers() == [2_500.0, 5_000, 0]
assert not {"numpy", "prometheus_client", "asyncio"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True)
