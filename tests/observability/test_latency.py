"""The minute's statistics, against numpy's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.observability.latency import latency_stats
from penstock.observability.metrics import Figures, merge
from penstock.observability.requests import PredictionMeter, RequestMeter

NOTHING = Figures().snapshot()


@given(st.lists(st.floats(1e-4, 90.0), min_size=1, max_size=300))
def test_percentiles_are_right_to_five_percent(latencies: list[float]) -> None:
    figures = Figures()
    meter = PredictionMeter(figures, "/predict", "iris", "1")
    for latency_s in latencies:
        meter.predicted(latency_s, 0.0, 0.0)
    stats = latency_stats(NOTHING, figures.snapshot())
    assert stats is not None
    for name, share in (("p50_ms", 50), ("p95_ms", 95), ("p99_ms", 99)):
        exact = np.percentile(latencies, share, method="inverted_cdf") * 1000
        assert stats[name] == pytest.approx(exact, rel=0.05, abs=0.001)


def test_only_what_came_since_the_last_time_is_told() -> None:
    figures = Figures()
    slow, fast = (PredictionMeter(figures, "/predict", model, "1") for model in ("forest", "iris"))
    slow.predicted(2.0, 0.0, 0.0)
    slow.failed(503, 2.0, "queue_full")
    before = figures.snapshot()
    fast.predicted(0.001, 0.0, 0.0)
    slow.failed(504, 0.001, "deadline_exceeded")
    stats = latency_stats(before, merge([figures.snapshot()]))
    assert stats is not None
    assert (stats["requests"], stats["errors"]) == (2, {"deadline_exceeded": 1})
    assert stats["p99_ms"] == pytest.approx(1.0, rel=0.05)


def test_beyond_the_scale_its_ends_are_told() -> None:
    figures = Figures()
    meter = PredictionMeter(figures, "/predict", "iris", "1")
    for latency_s in (1e-6, 1e-6, 1e6):
        meter.predicted(latency_s, 0.0, 0.0)
    stats = latency_stats(NOTHING, figures.snapshot())
    assert stats is not None
    assert (stats["p50_ms"], stats["p99_ms"]) == (0.1, 100_000.0)


def test_without_predictions_there_is_nothing_to_tell() -> None:
    figures = Figures()
    RequestMeter(figures, "/health").answered(200, 0.001)
    assert latency_stats(NOTHING, figures.snapshot()) is None
    assert latency_stats(figures.snapshot(), figures.snapshot()) is None
