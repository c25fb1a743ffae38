"""What Prometheus reads, read by its own parser."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics

from penstock.observability import catalog
from penstock.observability.exposition import CONTENT_TYPE, negotiate, render
from penstock.observability.metrics import Figures, Snapshot, merge
from penstock.observability.requests import PredictionMeter


def samples(text: bytes) -> dict[str, list[tuple[dict[str, str], float]]]:
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in parser.text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def traffic() -> Snapshot:
    figures = Figures()
    for latency_s in (0.00005, 0.0002, 0.00021, 0.3, 1000.0):
        PredictionMeter(figures, "/predict", "iris", "1").predicted(latency_s, 0.0, 0.0)
    figures.gauge(catalog.IN_FLIGHT).child().set(3)
    return merge([figures.snapshot()])


def test_counters_and_gauges_are_told_with_their_labels() -> None:
    told = samples(render(traffic()))
    labels = {"route": "/predict", "model": "iris", "version": "1", "status": "200"}
    assert told["penstock_requests_total"] == [(labels, 5.0)]
    assert told["penstock_requests_in_flight"] == [({}, 3.0)]


def test_a_histogram_is_told_in_cumulative_buckets_up_to_and_including_their_edge() -> None:
    told = samples(render(traffic()))
    buckets = {float(labels["le"]): n for labels, n in told["penstock_request_duration_seconds_bucket"]}
    assert tuple(buckets) == (*catalog.SHOWN_DURATIONS, math.inf)
    assert [buckets[edge] for edge in (1e-4, 2e-4, 5e-4, 0.2, 0.5, 100.0, math.inf)] == [1, 2, 3, 3, 4, 4, 5]
    assert told["penstock_request_duration_seconds_count"][0][1] == 5
    assert told["penstock_request_duration_seconds_sum"][0][1] == pytest.approx(1000.30046)


@given(st.text(), st.text())
def test_any_label_survives_the_text(model: str, version: str) -> None:
    figures = Figures()
    figures.gauge(catalog.HOSTS_LIVE).child(model, version).set(1)
    (told,) = samples(render(figures.snapshot()))["penstock_hosts_live"]
    kept = [value[:128].encode(errors="replace").decode() for value in (model, version)]
    assert list(told[0].values()) == kept


def test_the_media_type_says_what_is_sent() -> None:
    plain, plain_type = negotiate(traffic(), "")
    open_text, open_type = negotiate(traffic(), "application/openmetrics-text; version=1.0.0")
    assert plain_type.startswith("text/plain")
    assert CONTENT_TYPE.startswith("text/plain")
    assert plain == render(traffic())
    assert open_type.startswith("application/openmetrics-text")
    parse: Any = openmetrics.text_string_to_metric_families
    assert "penstock_requests" in {family.name for family in parse(open_text.decode())}


def test_figures_of_a_newer_version_are_left_out() -> None:
    snapshot: Snapshot = {"counters": {"penstock_later_total": [[[], [1]]]}, "gauges": {}, "histograms": {}}
    assert render(snapshot) == b""
