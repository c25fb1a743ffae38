"""Figures that several processes keep, and one of them adds up.

A process counts into `Figures`; its `snapshot` is plain data for the wire, and `merge` adds snapshots.
prometheus_client cannot do that without files, and counting here takes a fraction of its time. One thread (the event
loop) counts.

A snapshot maps "counters", "gauges", "histograms" and "maxima" to families by name, each a list of `[labels,
numbers]`: one number, or for a histogram the sum followed by the count of each bucket.
"""

import sys
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite
from operator import add, sub
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

Kind = Literal["counters", "gauges", "histograms", "maxima"]
Number = int | float
Sums = dict[tuple[str, ...], list[Number]]  # by label values
Snapshot = dict[str, dict[str, list[Any]]]

Together = Callable[[Number, Number], Number]

TOGETHER: dict[str, Together] = {"counters": add, "gauges": add, "histograms": add, "maxima": max}
"""What becomes of the numbers of two processes."""
KINDS: tuple[Kind, ...] = ("counters", "gauges", "histograms", "maxima")
MOST_SERIES = 2_000  # of one family; what comes beyond is counted together, so that no label can fill the memory
LONGEST_LABEL = 128
OTHER = "other"
FOLD_AT = 1_024  # observations that are kept raw


class Metric(Struct, frozen=True, kw_only=True):
    """What a family is called, says and is divided by.

    A histogram counts values up to and including each of `edges`; of these, `shown` are told to Prometheus.
    """

    kind: Kind
    name: str
    help: str
    labels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    shown: tuple[float, ...] = ()


class Counter:
    """A number that only grows. The hot path may add to `value` itself."""

    __slots__ = ("_read", "value")

    def __init__(self) -> None:
        self.value: Number = 0
        self._read: Callable[[], Number] | None = None

    def inc(self, n: Number = 1) -> None:
        self.value += n

    def watch(self, read: Callable[[], Number]) -> None:
        """Takes the value from `read` whenever it is asked for."""
        self._read = read

    def numbers(self) -> list[Number]:
        return [self._read() if self._read else self.value]


class Gauge(Counter):
    """A number that comes and goes. Gauges of several processes add up."""

    __slots__ = ()

    def dec(self, n: Number = 1) -> None:
        self.value -= n

    def set(self, value: Number) -> None:
        self.value = value


class Maximum(Counter):
    """The largest number there was. That of several processes is the largest of theirs."""

    __slots__ = ()

    def observe(self, value: float) -> None:
        self.value = max(self.value, value)


class Histogram:
    """How many observations fell between the edges, and their sum.

    Observations are kept raw and sorted into the buckets together, a fraction of the work that each alone would be.
    What is not a finite number counts in the last bucket and adds nothing to the sum.
    """

    __slots__ = ("_counts", "_edges", "_pending", "_sum")

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = array("d", edges)
        self._counts = [0] * (len(edges) + 1)
        self._sum = 0.0
        self._pending = array("d")

    def observe(self, value: float) -> None:
        pending = self._pending
        pending.append(value)
        if len(pending) >= FOLD_AT:
            self._fold()

    def observe_many(self, values: bytes | bytearray | memoryview) -> None:
        """Observes the native float64s of which these are the bytes; they are copied."""
        self._pending.frombytes(values)
        if len(self._pending) >= FOLD_AT:
            self._fold()

    def numbers(self) -> list[Number]:
        self._fold()
        return [self._sum, *self._counts]

    def _fold(self) -> None:
        numpy = sys.modules.get("numpy")  # never imported for this: the supervisor does without
        if numpy is None or len(self._pending) < 32:
            for value in self._pending:
                finite = isfinite(value)
                self._counts[bisect_left(self._edges, value) if finite else -1] += 1
                self._sum += value if finite else 0.0
        else:
            values = numpy.frombuffer(self._pending)
            if not isfinite(total := float(values.sum())):
                finite = numpy.isfinite(values)
                total = float(values[finite].sum())
                values = numpy.where(finite, values, numpy.inf)
            # Sorted first: a few edges are found in many values sooner than many values among a few edges.
            upto = numpy.sort(values).searchsorted(self._edges, side="right").tolist()
            counted = map(sub, [*upto, len(values)], [0, *upto])
            self._counts = list(map(add, self._counts, counted))
            self._sum += total
        self._pending = array("d")


Child = TypeVar("Child", bound=Counter | Histogram)


class Family(Generic[Child]):
    """The children of one metric, by their label values; at most `most`, and one more for all others."""

    def __init__(self, metric: Metric, make: Callable[[], Child], most: int = MOST_SERIES) -> None:
        self.metric = metric
        self._make = make
        self._most = most
        self._children: dict[tuple[str, ...], Child] = {}

    def child(self, *values: object) -> Child:
        """The child with these label values, always the same one. Raises ValueError for a wrong number of them."""
        if len(values) != len(self.metric.labels):
            raise ValueError(f"{self.metric.name} has the labels {self.metric.labels}")
        labels = tuple(map(_label, values))
        if labels not in self._children and len(self._children) >= self._most:
            labels = (OTHER,) * len(labels)
        if labels not in self._children:
            self._children[labels] = self._make()
        return self._children[labels]

    def forget(self, *values: object) -> None:
        """There is nothing more to be told of these label values."""
        self._children.pop(tuple(map(_label, values)), None)

    def forget_version(self, model: str, version: str) -> None:
        """There is nothing more to be told of this version of a model, where the metric is divided by versions."""
        for labels in list(self._children):
            if is_of_version(self.metric, labels, _label(model), _label(version)):
                del self._children[labels]

    def clear(self) -> None:
        """Forgets all children: for families that are measured anew whenever they are told."""
        self._children.clear()

    def series(self) -> list[list[list[str] | list[Number]]]:
        return [[list(labels), child.numbers()] for labels, child in self._children.items()]


class Figures:
    """The families of one process. Asking for a metric again gives the same family."""

    def __init__(self) -> None:
        self._families: dict[str, Family[Any]] = {}

    def counter(self, metric: Metric) -> Family[Counter]:
        return self._family(metric, Counter)

    def gauge(self, metric: Metric) -> Family[Gauge]:
        return self._family(metric, Gauge)

    def maximum(self, metric: Metric) -> Family[Maximum]:
        return self._family(metric, Maximum)

    def histogram(self, metric: Metric) -> Family[Histogram]:
        return self._family(metric, lambda: Histogram(metric.edges))

    def forget_version(self, model: str, version: str) -> None:
        """Drops all that was counted of a version that is gone: else those that come after it find no room."""
        for family in self._families.values():
            family.forget_version(model, version)

    def snapshot(self) -> Snapshot:
        """Everything counted so far."""
        taken: Snapshot = {kind: {} for kind in KINDS}
        for name, family in self._families.items():
            taken[family.metric.kind][name] = family.series()
        return taken

    def _family(self, metric: Metric, make: Callable[[], Child]) -> Family[Child]:
        return self._families.setdefault(metric.name, Family(metric, make))


def merge(snapshots: Iterable[Snapshot], most: int = MOST_SERIES) -> Snapshot:
    """The sum of snapshots, in any order and grouping the same.

    Of a family with more than `most` series the first by their label values are kept and the others added together:
    which are kept depends on nothing else, and what is added together once never has to be told apart again.
    """
    merged: dict[str, dict[str, Sums]] = {kind: {} for kind in KINDS}
    for snapshot in snapshots:
        for kind, families in snapshot.items():
            for name, series in families.items():
                _add(merged[kind].setdefault(name, {}), series, TOGETHER[kind])
    return {
        kind: {
            name: [[list(k), v] for k, v in _bounded(sums, most, TOGETHER[kind])]
            for name, sums in sorted(families.items())
        }
        for kind, families in merged.items()
    }


def labelled(snapshot: Snapshot, metric: Metric) -> dict[tuple[str, ...], list[Number]]:
    """The numbers of one metric, by the values of its labels."""
    return {tuple(labels): numbers for labels, numbers in snapshot.get(metric.kind, {}).get(metric.name, ())}


def retire(snapshot: Snapshot) -> Snapshot:
    """What stays of a process that ended: all that it counted, and nothing that it held."""
    return {kind: {} if kind == "gauges" else families for kind, families in snapshot.items()}


def without_version(snapshot: Snapshot, metrics: Mapping[str, Metric], model: str, version: str) -> Snapshot:
    """The snapshot without all that `metrics` divide by versions and that is of this one."""
    left: Snapshot = {kind: {} for kind in KINDS}
    for kind, families in snapshot.items():
        for name, series in families.items():
            metric = metrics.get(name)
            left[kind][name] = [
                each for each in series if metric is None or not is_of_version(metric, each[0], model, version)
            ]
    return left


def is_of_version(metric: Metric, values: Sequence[str], model: str, version: str) -> bool:
    """Whether these label values name a version of a model, be it the one that it is compared against."""
    named = dict(zip(metric.labels, values, strict=True))
    return named.get("model") == model and version in (named.get("version"), named.get("against"))


def _add(sums: Sums, series: Iterable[tuple[list[str], list[Number]]], together: Together) -> None:
    for values, numbers in series:
        labels = tuple(values)
        known = sums.get(labels)
        sums[labels] = numbers if known is None else list(map(together, known, numbers))


def _bounded(sums: Sums, most: int, together: Together) -> list[tuple[tuple[str, ...], list[Number]]]:
    others = {labels: sums.pop(labels) for labels in list(sums) if labels and set(labels) == {OTHER}}
    ordered = sorted(sums.items())
    for labels, numbers in ordered[most:]:
        _add(others, [([OTHER] * len(labels), numbers)], together)
    return sorted([*ordered[:most], *others.items()])


def _label(value: object) -> str:
    return str(value)[:LONGEST_LABEL].encode(errors="replace").decode()
