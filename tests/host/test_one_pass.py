"""A classifier is asked once where its labels were shown to be the largest of its probabilities, and else twice."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from penstock.host import estimators
from penstock.host.labels import Labels
from penstock.host.one_pass import is_one_pass
from penstock.host.rehearsal import Rehearsal
from penstock.host.runtimes.estimator import Estimator
from penstock.model.control import Artifact
from penstock.model.signature import Field

IRIS = load_iris()
ROWS = [[float(i)] for i in range(64)]
INPUTS = (Field(name="x"),)
LABELS = Labels(["a", "b"])


class Counting(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Two classes; `odd` is a number whose row gets another label than its largest probability."""

    def __init__(self, odd: float | None = None) -> None:
        self.odd = odd
        self.classes_ = np.array(["a", "b"])
        self.n_features_in_ = 1
        self.calls = {"predict": 0, "predict_proba": 0}

    def predict(self, rows: Any) -> Any:
        self.calls["predict"] += 1
        first = np.asarray(rows)[:, 0]
        best = self.chances(first).argmax(axis=1)
        return self.classes_[np.where(first == self.odd, 1 - best, best)]

    def predict_proba(self, rows: Any) -> Any:
        self.calls["predict_proba"] += 1
        return self.chances(np.asarray(rows)[:, 0])

    def chances(self, first: Any) -> Any:
        second = 1 / (1 + np.exp(-np.clip(first, -30, 30) / 10))
        return np.stack([1 - second, second], axis=1)


def estimator(model: Any) -> Estimator:
    made = Estimator(model, Artifact(path="/m/model.pkl", format="pickle", root="/m"))
    Rehearsal(made, [])
    return made


def test_one_pass_answers_what_two_did() -> None:
    model = RandomForestClassifier(10, random_state=0).fit(IRIS.data, IRIS.target_names[IRIS.target])
    outputs = estimator(model).predict([IRIS.data], len(IRIS.data), True)
    assert [model.classes_[i] for i in np.asarray(outputs.values[0])] == model.predict(IRIS.data).tolist()
    assert np.array_equal(np.asarray(outputs.probabilities), model.predict_proba(IRIS.data))
    assert np.array_equal(np.asarray(outputs.confidence), model.predict_proba(IRIS.data).max(axis=1))


@pytest.mark.parametrize(
    ("odd", "asked"), [(None, {"predict": 0, "predict_proba": 1}), (0.5, {"predict": 1, "predict_proba": 1})]
)
def test_what_was_shown_to_be_one_is_asked_once(
    odd: float | None, asked: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(estimators, "LIBRARIES", {"tests"})
    model = Counting(odd)
    served = estimator(model)
    model.calls.update(predict=0, predict_proba=0)
    served.predict([np.array([[3.0], [-3.0]])], 2, False)
    assert model.calls == asked


def test_one_row_that_differs_is_enough() -> None:
    for odd in (0.0, 17.0, 63.0):
        model = Counting(odd)
        assert not is_one_pass(INPUTS, ROWS, np.array, model.predict, model.predict_proba, LABELS)
    model = Counting()
    assert is_one_pass(INPUTS, ROWS, np.array, model.predict, model.predict_proba, LABELS)


def test_rows_that_the_model_refuses_show_nothing() -> None:
    model = Counting()

    def refuse(most: float) -> Any:
        def predict(rows: Any) -> Any:
            if np.asarray(rows).max() > most:
                raise ValueError("too large")
            return model.predict(rows)

        return predict

    assert is_one_pass(INPUTS, ROWS, np.array, refuse(20.0), model.predict_proba, LABELS)
    assert not is_one_pass(INPUTS, ROWS, np.array, refuse(-1.0), model.predict_proba, LABELS)


def test_probabilities_that_are_not_finite_are_no_label() -> None:
    model = Counting()

    def state(rows: Any) -> Any:
        return model.predict_proba(rows) * np.nan

    assert not is_one_pass(INPUTS, ROWS, np.array, model.predict, state, LABELS)


def test_a_pipeline_by_names_is_shown_too() -> None:
    frame = pd.DataFrame(IRIS.data, columns=["a", "b", "c", "d"])
    model = LogisticRegression(max_iter=500).fit(frame, IRIS.target)
    served = estimator(model)
    outputs = served.predict([IRIS.data], len(IRIS.data), False)
    assert np.array_equal(np.asarray(outputs.values[0]), model.predict(frame))


class Guarded(Pipeline):  # type: ignore[misc]  # scikit-learn has no types
    """A pipeline with a rule of its own, which probe rows need not meet."""

    def predict(self, rows: Any) -> Any:
        answers = super().predict(rows)
        answers[(rows[:, 0] > 5.0) & (rows[:, 0] < 5.1)] = 0
        return answers


def test_a_class_of_ones_own_is_asked_twice() -> None:
    model = Guarded([("model", LogisticRegression(max_iter=500))]).fit(IRIS.data, IRIS.target)
    rows = IRIS.data.copy()
    rows[:, 0] = 5.05
    outputs = estimator(model).predict([rows], len(rows), False)
    assert np.array_equal(np.asarray(outputs.values[0]), model.predict(rows))


@pytest.mark.parametrize("threshold", [0.3, 0.45])
def test_a_threshold_between_two_classes_is_found_at_their_boundary(threshold: float) -> None:
    """Of rows that are far from it none tells."""
    model = Counting()

    def predict(rows: Any) -> Any:
        return model.classes_[(model.predict_proba(rows)[:, 1] > threshold).astype(int)]

    far = [[-1e6], [1e6]] * 20
    assert not is_one_pass(INPUTS, far, np.array, predict, model.predict_proba, LABELS)
    assert is_one_pass(INPUTS, far, np.array, model.predict, model.predict_proba, LABELS)
