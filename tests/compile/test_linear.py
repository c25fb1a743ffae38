"""Linear classifiers run in double precision, whatever stands in front of them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tests.compile.driver import certified, demand_double, same

IRIS, CANCER = load_iris(), load_breast_cancer()
LABELS = [np.arange(3), np.array([False, True, True]), np.array([2.0, 7.0, 9.0]), np.array(["a", "b", "c"], object)]


@pytest.mark.parametrize("data", [IRIS, CANCER], ids=["three classes", "two classes"])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LogisticRegression(fit_intercept=False),
        LinearDiscriminantAnalysis(),
        RidgeClassifier(),
        LinearSVC(),
        Perceptron(),
        SGDClassifier(random_state=0),
        SGDClassifier(loss="log_loss", random_state=0),
        SGDClassifier(loss="modified_huber", random_state=0),
        CalibratedClassifierCV(LinearSVC(), cv=2),
    ],
    ids=str,
)
def test_a_linear_classifier_is_exact_in_double_precision(model: Any, data: Any, tmp_path: Path) -> None:
    model = make_pipeline(StandardScaler(), model).fit(data.data, data.target)
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, data.data)


@pytest.mark.parametrize("labels", LABELS, ids=str)
def test_labels_of_every_kind(labels: Any, tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS.data, labels[IRIS.target])
    entry = certified(model, tmp_path)
    demand_double(entry)
    same(entry, model, IRIS.data)


def test_labels_that_are_no_whole_numbers_have_no_graph(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=500)
    model.fit(IRIS.data, IRIS.target)
    model.classes_ = np.array([0.5, 1.5, 2.5])
    entry = certified(model, tmp_path)
    assert entry.certificate.verdict == "original"
    assert "no whole numbers" in (entry.certificate.reason or "")
