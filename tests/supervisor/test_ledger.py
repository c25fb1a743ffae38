"""Counters never go backwards, whoever ends; gauges end with their process."""

import os
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Logs
from penstock.model.certificate import Certificate
from penstock.observability import catalog
from penstock.observability.comparisons import ComparisonMeter
from penstock.observability.logs import open_log
from penstock.observability.metrics import Figures, Snapshot
from penstock.supervisor.ledger import Ledger

LOG = open_log(Logs(), "supervisor")


def front(requests: int) -> Snapshot:
    figures = Figures()
    figures.counter(catalog.REQUESTS).child("/predict", "iris", "1", "200").inc(requests)
    figures.gauge(catalog.IN_FLIGHT).child().set(3)
    return figures.snapshot()


def number(snapshot: Snapshot, kind: str, name: str) -> Any:
    return sum(numbers[0] for _, numbers in snapshot[kind].get(name, []))


@given(
    st.lists(st.one_of(st.tuples(st.just("report"), st.integers(0, 3)), st.tuples(st.just("end"), st.integers(0, 3))))
)
def test_counters_of_fronts_that_end_stay_counted_and_their_gauges_do_not(events: list[tuple[str, int]]) -> None:
    ledger, alive, ended = Ledger(LOG), dict[int, int](), 0
    for event, slot in events:
        if event == "report":
            alive[slot] = alive.get(slot, 0) + 5
            ledger.report(slot, front(alive[slot]))
        else:
            ended += alive.pop(slot, 0)
            ledger.front_ended(slot)
        merged = ledger.merged({})
        assert number(merged, "counters", catalog.REQUESTS.name) == ended + sum(alive.values())
        assert number(merged, "gauges", catalog.IN_FLIGHT.name) == 3 * len(alive)


def test_the_supervisor_counts_what_only_it_sees() -> None:
    ledger = Ledger(LOG)
    ledger.host_restarted("iris", "1", "signal")
    ledger.host_restarted("iris", "1", "signal")
    ledger.front_restarted()
    compiled = Certificate(verdict="compiled", original_us=500.0, compiled_us=10.0)
    ledger.model_loaded("iris", "1", 0.5, compiled)
    ledger.hosts_live("iris", "1", 2)
    merged = ledger.merged({"supervisor": os.getpid()})
    assert merged["counters"][catalog.HOST_RESTARTS.name] == [[["iris", "1", "signal"], [2]]]
    assert number(merged, "counters", catalog.FRONT_RESTARTS.name) == 1
    assert number(merged, "gauges", catalog.MODEL_LOAD.name) == 0.5
    assert number(merged, "gauges", catalog.MODEL_COMPILED.name) == 1
    assert sorted(merged["gauges"][catalog.MODEL_ROW.name]) == [
        [["iris", "1", "compiled"], [10.0 / 1e6]],
        [["iris", "1", "original"], [500.0 / 1e6]],
    ]
    assert number(merged, "gauges", catalog.HOSTS_LIVE.name) == 2
    assert number(merged, "gauges", catalog.MEMORY.name) > 2**20


def test_statistics_are_of_the_time_since_they_were_last_asked_for() -> None:
    ledger, figures = Ledger(LOG), Figures()
    figures.histogram(catalog.LATENCY).child("/predict", "iris", "1").observe(0.002)
    ledger.report(1, figures.snapshot())
    statistics = ledger.statistics()
    assert statistics is not None
    assert statistics["requests"] == 1
    assert ledger.statistics() is None


def of_version(version: str) -> Figures:
    figures = Figures()
    figures.counter(catalog.ROWS_PREDICTED).child("m", version).inc(5)
    figures.histogram(catalog.LATENCY).child("/predict", "m", version).observe(0.01)
    figures.gauge(catalog.IN_FLIGHT).child().set(1)
    return figures


def versions(snapshot: Snapshot) -> set[str]:
    """The versions of which anything is told."""
    return {
        labels[catalog.METRICS[name].labels.index("version")]
        for families in snapshot.values()
        for name, series in families.items()
        if "version" in catalog.METRICS[name].labels
        for labels, _ in series
    }


def test_nothing_more_is_told_of_a_version_that_is_gone_whoever_counted_it() -> None:
    ledger = Ledger(open_log(Logs(file=os.devnull), "supervisor"))
    for number, version in ((1, "1"), (2, "2"), (3, "1")):
        ledger.report(number, of_version(version).snapshot())
    ledger.front_ended(3)
    ledger.model_loaded("m", "1", 0.5)
    ledger.model_refused("m", "2", "failed_start")
    ledger.statistics()
    assert versions(ledger.merged({})) == {"1", "2"}
    ledger.forget("m", "1")
    assert versions(ledger.merged({})) == {"2"}
    assert ledger.statistics() is None, "what is forgotten counts for nothing"
    figures = of_version("1")
    figures.forget_version("m", "1")
    assert versions(figures.snapshot()) == set()
    assert figures.snapshot()["gauges"][catalog.IN_FLIGHT.name] == [[[], [1]]]


def test_a_comparison_goes_with_either_of_its_versions() -> None:
    figures = Figures()
    for version, against in (("2", "1"), ("3", "2"), ("3", "1")):
        ComparisonMeter(figures, "m", version, against).missed("dropped", 5)
        ComparisonMeter(figures, "n", version, against).missed("dropped", 5)
    ledger = Ledger(open_log(Logs(file=os.devnull), "supervisor"))
    ledger.report(1, figures.snapshot())
    ledger.forget("m", "2")
    figures.forget_version("m", "2")
    for told in (ledger.counted([catalog.COMPARED_ROWS]), figures.snapshot()):
        pairs = {tuple(labels[:3]) for labels, _ in told["counters"][catalog.COMPARED_ROWS.name]}
        assert pairs == {("m", "3", "1"), ("n", "2", "1"), ("n", "3", "2"), ("n", "3", "1")}
