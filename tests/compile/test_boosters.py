"""XGBoost and LightGBM as ONNX graphs: the same decisions, and sums of the same numbers in the same order."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import DoubleTensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from threadpoolctl import threadpool_limits

from penstock.compile.conversion import own_converters
from penstock.compile.trees import register

Rows = NDArray[Any]

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
HOLES = (np.where(np.random.default_rng(1).random(CANCER[0].shape) < 0.2, np.nan, CANCER[0]), CANCER[1])
SHORT: dict[str, Any] = {"n_estimators": 20, "n_jobs": 1}

XGBOOST: dict[str, tuple[str, dict[str, Any], Any]] = {
    "two classes": ("XGBClassifier", {}, CANCER),
    "holes": ("XGBClassifier", {}, HOLES),
    "three classes": ("XGBClassifier", {}, IRIS),
    "a base score": ("XGBClassifier", {"base_score": 0.3, "max_depth": 2}, CANCER),
    "small forests": ("XGBClassifier", {"num_parallel_tree": 3, "subsample": 0.5}, CANCER),
    "values": ("XGBRegressor", {}, DIABETES),
    "absolute errors": ("XGBRegressor", {"objective": "reg:absoluteerror"}, DIABETES),
    "counts": ("XGBRegressor", {"objective": "count:poisson"}, DIABETES),
}
EXACT = ("values", "absolute errors")
LIGHTGBM: dict[str, tuple[str, dict[str, Any], Any]] = {
    "two classes": ("LGBMClassifier", {}, CANCER),
    "holes": ("LGBMClassifier", {}, HOLES),
    "three classes": ("LGBMClassifier", {}, IRIS),
    "a slope": ("LGBMClassifier", {"sigmoid": 0.7}, CANCER),
    "values": ("LGBMRegressor", {}, DIABETES),
    "counts": ("LGBMRegressor", {"objective": "poisson"}, DIABETES),
}


@pytest.fixture(autouse=True)
def afterwards() -> Iterator[None]:
    """What is registered here is not registered any more."""
    with own_converters():
        yield


def fitted(library: str, name: str, settings: dict[str, Any], data: Any) -> Any:
    model = getattr(importlib.import_module(library), name)(**SHORT | settings)
    register()
    with threadpool_limits(1):
        return model.fit(*data)


def answers(model: Any, rows: Rows) -> list[Rows]:
    options = {id(model): {"zipmap": False}} if hasattr(model, "predict_proba") else None
    initial = [("rows", DoubleTensorType([None, rows.shape[1]]))]
    graph = skl2onnx.to_onnx(model, initial_types=initial, options=options)
    found: list[Rows] = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, {"rows": rows})
    return found


def expected(model: Any, rows: Rows) -> list[Rows]:
    predicted = model.predict(rows)
    return [predicted, model.predict_proba(rows)] if hasattr(model, "predict_proba") else [predicted.reshape(-1, 1)]


def probes(rows: Rows, splits: list[tuple[int, float]]) -> Rows:
    """Rows of the data, with holes, and beside thresholds."""
    chance = np.random.default_rng(5)
    moved = [rows, np.where(chance.random(rows.shape) < 0.2, np.nan, rows)]
    for feature, threshold in [splits[each] for each in chance.permutation(len(splits))[:80]]:
        single = np.float32(threshold)
        beside = [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf), single, 1e30, -1e30]
        beside += [np.nextafter(single, np.float32(-np.inf)), np.nextafter(single, np.float32(np.inf))]
        copies = np.repeat(rows[chance.integers(len(rows))][None], len(beside), axis=0)
        copies[:, feature] = beside
        moved.append(copies)
    return np.concatenate(moved)


@pytest.mark.needs(module="xgboost")
@pytest.mark.parametrize("name", XGBOOST)
def test_xgboost_answers_the_same_but_for_the_last_bit_of_an_exponential(name: str) -> None:
    model = fitted("xgboost", *XGBOOST[name])
    table = model.get_booster().trees_to_dataframe().query("Feature != 'Leaf'")
    splits = [(int(feature[1:]), split) for feature, split in zip(table["Feature"], table["Split"], strict=True)]
    rows = probes(XGBOOST[name][2][0], splits)
    given, wanted = answers(model, rows), expected(model, rows)
    np.testing.assert_allclose(given[-1], wanted[-1], rtol=0 if name in EXACT else 1.2e-7)
    assert np.mean(given[-1] == wanted[-1]) > 0.99
    if len(wanted) == 2:
        np.testing.assert_array_equal(given[0], wanted[0])


@pytest.mark.needs(module="lightgbm")
@pytest.mark.parametrize("name", LIGHTGBM)
def test_lightgbm_answers_the_same_but_for_roundings_of_an_exponential(name: str) -> None:
    model = fitted("lightgbm", LIGHTGBM[name][0], LIGHTGBM[name][1] | {"verbose": -1}, LIGHTGBM[name][2])
    table = model.booster_.trees_to_dataframe().dropna(subset="split_feature")
    splits = [
        (int(feature.removeprefix("Column_")), threshold)
        for feature, threshold in zip(table["split_feature"], table["threshold"], strict=True)
    ]
    rows = probes(LIGHTGBM[name][2][0], splits)
    given, wanted = answers(model, rows), expected(model, rows)
    np.testing.assert_allclose(given[-1], wanted[-1], rtol=0 if name in EXACT else 4e-16, atol=4e-16)
    if len(wanted) == 2:
        np.testing.assert_array_equal(given[0], wanted[0])


@pytest.mark.needs(module="lightgbm")
@pytest.mark.parametrize("data", [CANCER, IRIS])
def test_lightgbm_is_calibrated_by_its_sums(data: Any) -> None:
    inner = importlib.import_module("lightgbm").LGBMClassifier(**SHORT, verbose=-1)
    register()
    model = CalibratedClassifierCV(inner, cv=2).fit(*data)
    np.testing.assert_allclose(answers(model, data[0])[1], model.predict_proba(data[0]), rtol=1e-12)
