"""What one request leaves in the figures."""

from typing import Any

from penstock.observability import catalog
from penstock.observability.metrics import Figures, Metric
from penstock.observability.requests import MOST_FEATURES, PredictionMeter, RequestMeter


def series(figures: Figures, metric: Metric) -> dict[tuple[str, ...], list[Any]]:
    return {tuple(labels): numbers for labels, numbers in figures.snapshot()[metric.kind].get(metric.name, ())}


def test_a_prediction_is_counted_with_its_time_and_where_it_went() -> None:
    figures = Figures()
    PredictionMeter(figures, "/predict", "iris", "1").predicted(0.004, 0.001, 0.002, encode_s=0.0005)
    assert series(figures, catalog.REQUESTS) == {("/predict", "iris", "1", "200"): [1]}
    assert series(figures, catalog.LATENCY)["/predict", "iris", "1"][0] == 0.004
    stages = {stage: (total, sum(n)) for (*_, stage), (total, *n) in series(figures, catalog.STAGES).items()}
    assert stages == {"decode": (0.0, 0), "queue": (0.001, 1), "inference": (0.002, 1), "encode": (0.0005, 1)}


def test_a_failure_is_counted_by_its_status_and_its_code() -> None:
    figures = Figures()
    meter = RequestMeter(figures, "/predict")
    meter.failed(404, 0.001, "unknown_model")
    meter.failed(404, 0.001, "unknown_version")
    meter.answered(200, 0.001)
    assert series(figures, catalog.REQUESTS) == {("/predict", "", "", "404"): [2], ("/predict", "", "", "200"): [1]}
    assert series(figures, catalog.ERRORS) == {
        ("/predict", "", "", "unknown_model"): [1],
        ("/predict", "", "", "unknown_version"): [1],
    }


def test_two_routes_to_one_model_share_its_stages_and_nothing_else() -> None:
    figures = Figures()
    for route in ("/predict", "/predict-batch"):
        PredictionMeter(figures, route, "iris", "1").predicted(0.004, 0.001, 0.002)
    assert len(series(figures, catalog.REQUESTS)) == len(series(figures, catalog.LATENCY)) == 2
    assert sum(series(figures, catalog.STAGES)["iris", "1", "queue"][1:]) == 2


def test_odd_values_are_counted_by_feature_and_a_wide_model_is_bounded() -> None:
    figures = Figures()
    meter = PredictionMeter(figures, "/predict", "iris", "1")
    meter.out_of_range("age", 1)
    meter.unknown("colour", 1)
    for _ in range(2):
        for number in range(2 * MOST_FEATURES):
            meter.missing(f"f{number}", 3)
    missing = series(figures, catalog.MISSING)
    assert series(figures, catalog.OUT_OF_RANGE) == {("iris", "1", "age"): [1]}
    assert series(figures, catalog.UNKNOWN) == {("iris", "1", "colour"): [1]}
    assert len(missing) <= MOST_FEATURES + 1
    assert sum(n for (n,) in missing.values()) == 2 * 2 * MOST_FEATURES * 3
