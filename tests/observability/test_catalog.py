"""Every metric, and the page that tells of them."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from penstock.observability.catalog import DURATIONS, METRICS, reference
from penstock.observability.metrics import Metric

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
UNITS = ("_seconds", "_bytes", "_rows", "_info", "_confidence", "_live", "_compiled", "_in_flight", "_difference")


def test_the_page_is_made_of_the_catalogue() -> None:
    assert PAGE.read_text() == reference(), "run: python -m penstock.observability.catalog > docs/metrics.md"


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_names_and_labels_follow_the_rules_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"penstock_[a-z_]+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counters")
    assert metric.kind == "counters" or metric.name.endswith(UNITS)
    assert all(re.fullmatch(r"[a-z_]+", label) and label not in ("le", "job", "instance") for label in metric.labels)
    assert metric.help.endswith(".")


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_what_is_shown_of_a_histogram_is_among_its_edges(metric: Metric) -> None:
    assert bool(metric.edges) == (metric.kind == "histograms")
    assert list(metric.edges) == sorted(set(metric.edges))
    assert list(metric.shown) == sorted(set(metric.shown))
    assert set(metric.shown) <= set(metric.edges)


def test_latencies_are_kept_from_100_microseconds_in_steps_of_a_tenth() -> None:
    assert (DURATIONS[0], DURATIONS[-1]) == (1e-4, 100.0)
    assert all(high / low <= 1.1 + 1e-9 for low, high in pairwise(DURATIONS))
