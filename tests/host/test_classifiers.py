"""Classifiers: labels of every kind come back as themselves, bit for bit as the estimator answers.

A host of these tests computes with one thread, and where bits are compared so does the estimator here.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor, VotingClassifier
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import RadiusNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from tests.host.driver import HostProcess, ask, loaded, pickled

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("data", "model"),
    [
        (load_iris, make_pipeline(StandardScaler(), LogisticRegression())),
        (load_breast_cancer, RandomForestClassifier(20, random_state=0, n_jobs=-1)),
        (load_digits, make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))),
        (load_wine, make_pipeline(StandardScaler(), GaussianNB())),
    ],
)
def test_every_row_is_answered_as_the_estimator_does_bit_for_bit(
    data: Callable[..., Any], model: Any, tmp_path: Path
) -> None:
    """Alone and in batches: a batch of the estimator's own is what a batch is compared with."""
    rows, labels = data(return_X_y=True)
    model.fit(rows, labels)
    with HostProcess(pickled(model, tmp_path)) as host:
        classes = np.array(host.loaded().signature.output.fields[0].classes)
        front = host.front()
        for chunk in (rows, rows[:64], *rows[:20, None]):
            indices, confidence, probabilities = front.ask(chunk, probabilities=True)
            assert np.array_equal(classes[indices], model.predict(chunk))
            assert np.array_equal(probabilities, model.predict_proba(chunk))
            assert np.array_equal(confidence, probabilities[np.arange(len(chunk)), indices])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("model", [LinearRegression(), RandomForestRegressor(10, random_state=0)])
def test_a_regressor_answers_its_values_bit_for_bit(model: Any, tmp_path: Path) -> None:
    rows, targets = load_diabetes(return_X_y=True)
    model.fit(rows, targets)
    with HostProcess(pickled(model, tmp_path)) as host:
        output = host.loaded().signature.output
        (values,) = host.front().ask(rows)
        assert np.array_equal(values, model.predict(rows))
        assert (output.fields[0].dtype, output.fields[0].shape, output.probabilities) == ("float64", (), False)


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (Y, (0, 1, 2)),
        (Y * 10 - 5, (-5, 5, 15)),
        (NAMES[Y], ("setosa", "versicolor", "virginica")),
        (NAMES[Y].astype(object), ("setosa", "versicolor", "virginica")),
        (Y > 0, (False, True)),
        (Y.astype(float), (0.0, 1.0, 2.0)),
        (Y.astype(np.uint8), (0, 1, 2)),
    ],
)
def test_labels_come_back_as_plain_values_of_their_kind(labels: Any, classes: tuple[Any, ...], tmp_path: Path) -> None:
    found = loaded(pickled(DecisionTreeClassifier().fit(X, labels), tmp_path)).signature.output.fields[0].classes
    assert found == classes
    assert [type(label) for label in found or ()] == [type(label) for label in classes]


@pytest.mark.parametrize("model", [SVC(), RidgeClassifier(), VotingClassifier([("a", GaussianNB()), ("b", SVC())])])
def test_a_classifier_without_probabilities_answers_its_label_alone(model: Any, tmp_path: Path) -> None:
    model.fit(X, NAMES[Y])
    with HostProcess(pickled(model, tmp_path)) as host:
        output = host.loaded().signature.output
        columns = host.front().ask(X, probabilities=True)
    assert not output.probabilities
    assert len(columns) == 1
    assert np.array_equal(NAMES[columns[0]], model.predict(X))


def test_confidence_is_that_of_the_label_answered_and_not_the_largest(tmp_path: Path) -> None:
    """The two differ where a decision threshold was tuned, here by moving it to 0.9."""
    from sklearn.model_selection import FixedThresholdClassifier

    model = FixedThresholdClassifier(LogisticRegression(), threshold=0.9, pos_label=1).fit(X, Y == 1)
    columns = ask(pickled(model, tmp_path), X, probabilities=True)
    assert np.array_equal(columns[0], model.predict(X))
    assert columns[1].min() < 0.5
    assert np.array_equal(columns[1], columns[2][np.arange(len(X)), columns[0]])


@pytest.mark.parametrize(
    "model",
    [
        CalibratedClassifierCV(GaussianNB(), cv=2),
        GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1.0]}, cv=2),
        VotingClassifier([("a", GaussianNB()), ("b", LogisticRegression(max_iter=500))], voting="soft"),
    ],
)
def test_an_estimator_around_another_is_served_whole(model: Any, tmp_path: Path) -> None:
    model.fit(X, Y)
    columns = ask(pickled(model, tmp_path), X)
    assert np.array_equal(columns[0], model.predict(X))


@pytest.mark.parametrize("model", [RandomForestClassifier(5), MultiOutputClassifier(DecisionTreeClassifier())])
def test_several_outputs_are_several_fields_each_with_its_classes(model: Any, tmp_path: Path) -> None:
    model.fit(X, np.column_stack([NAMES[Y], (Y > 0).astype(str)]))
    with HostProcess(pickled(model, tmp_path)) as host:
        output = host.loaded().signature.output
        columns = host.front().ask(X, probabilities=True)
    answers = [np.array(field.classes)[column] for field, column in zip(output.fields, columns, strict=True)]
    assert np.array_equal(np.column_stack(answers), model.predict(X))
    assert not output.probabilities


def test_a_multi_label_model_answers_yes_or_no_for_each_label(tmp_path: Path) -> None:
    model = OneVsRestClassifier(LogisticRegression()).fit(X, np.column_stack([Y == 0, Y > 0]).astype(int))
    with HostProcess(pickled(model, tmp_path)) as host:
        output = host.loaded().signature.output
        columns = host.front().ask(X)
    assert [field.classes for field in output.fields] == [(0, 1), (0, 1)]
    assert np.array_equal(np.column_stack(columns), model.predict(X))


def test_neighbours_within_a_radius_are_warmed_up_where_there_are_some(tmp_path: Path) -> None:
    """They refuse rows that have none, such as zeros here."""
    model = RadiusNeighborsClassifier(radius=1.0).fit(X, NAMES[Y])
    columns = ask(pickled(model, tmp_path), X)
    assert np.array_equal(NAMES[columns[0]], model.predict(X))


def test_a_model_of_one_number_need_not_count_its_columns(tmp_path: Path) -> None:
    model = IsotonicRegression(out_of_bounds="clip").fit(X[:, 2], X[:, 3])
    (values,) = ask(pickled(model, tmp_path), X[:, 2:3])
    assert np.array_equal(values, model.predict(X[:, 2]))


def test_a_threshold_of_its_own_is_kept_where_no_probe_row_finds_it(tmp_path: Path) -> None:
    """Few rows lie between it and one half: labels are not read off probabilities."""
    from sklearn.model_selection import FixedThresholdClassifier

    rows, labels = load_breast_cancer(return_X_y=True)
    rows = rows[:, :10]
    inner = LogisticRegression(max_iter=1000)
    model = FixedThresholdClassifier(inner, threshold=0.3, pos_label=0).fit(rows[::2], labels[::2])
    columns = ask(pickled(model, tmp_path), rows)
    assert np.array_equal(columns[0], model.predict(rows))
