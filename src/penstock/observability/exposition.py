"""Merged figures as Prometheus reads them. The only file that imports prometheus_client, which only fronts need."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.exposition import choose_encoder, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Samples
from prometheus_client.registry import Collector, CollectorRegistry

from penstock.observability.catalog import METRICS
from penstock.observability.metrics import Metric, Snapshot

__all__ = ["CONTENT_TYPE", "negotiate", "render"]


def render(snapshot: Snapshot) -> bytes:
    """The Prometheus text format; its media type is CONTENT_TYPE."""
    return generate_latest(_registry(snapshot))


def negotiate(snapshot: Snapshot, accept: str) -> tuple[bytes, str]:
    """The text and its media type: OpenMetrics where the Accept header asks for it, else as `render`."""
    encode, content_type = choose_encoder(accept)
    return encode(_registry(snapshot)), content_type


class _Merged(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Samples]:
        for families in self._snapshot.values():
            for name, series in families.items():
                if (metric := METRICS.get(name)) is not None:  # a front may be newer than its supervisor
                    yield _FAMILIES[metric.kind](metric, series)


def _registry(snapshot: Snapshot) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(snapshot))
    return registry


def _counter(metric: Metric, series: Iterable[Any]) -> Samples:
    family = CounterMetricFamily(metric.name.removesuffix("_total"), metric.help, labels=metric.labels)
    for labels, (value,) in series:
        family.add_metric(labels, value)
    return family


def _gauge(metric: Metric, series: Iterable[Any]) -> Samples:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
    for labels, (value,) in series:
        family.add_metric(labels, value)
    return family


def _histogram(metric: Metric, series: Iterable[Any]) -> Samples:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
    shown = [(str(edge), metric.edges.index(edge)) for edge in metric.shown]
    for labels, (total, *counts) in series:
        up_to = list(accumulate(counts))
        family.add_metric(labels, [*((edge, up_to[i]) for edge, i in shown), ("+Inf", up_to[-1])], total)
    return family


_FAMILIES = {"counters": _counter, "gauges": _gauge, "histograms": _histogram, "maxima": _gauge}
