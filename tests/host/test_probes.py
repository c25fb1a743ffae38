"""Probe rows reach the places where a conversion goes wrong: thresholds, magnitudes, gaps, categories, words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from penstock.host.columns import describe
from penstock.host.probes import STRANGER, probe_rows
from penstock.host.rows import Row
from penstock.model.signature import Field

IRIS = load_iris()
CANCER = load_breast_cancer()


def probes(model: Any, inputs: Sequence[Field] = (), examples: Sequence[Row] = ()) -> list[Row]:
    return probe_rows(model, inputs or describe(model).fields, None, examples)


def matrix(rows: Sequence[Row]) -> Any:
    return np.array(rows, dtype=np.float64)


def test_a_tree_is_probed_on_each_threshold_and_one_float_beside_it() -> None:
    tree = DecisionTreeClassifier(random_state=0).fit(IRIS.data, IRIS.target)
    rows = matrix(probes(tree))
    inner = tree.tree_.feature >= 0
    for feature, threshold in zip(tree.tree_.feature[inner], tree.tree_.threshold[inner], strict=True):
        column = set(rows[:, feature].tolist())
        narrow = np.float32(threshold)
        beside = [np.nextafter(threshold, way) for way in (-np.inf, np.inf)]
        beside += [np.nextafter(narrow, np.float32(way)) for way in (-np.inf, np.inf)]
        assert column.issuperset([float(threshold), *map(float, beside)])


def test_rows_reach_every_leaf_of_a_tree() -> None:
    tree = DecisionTreeClassifier(random_state=0).fit(CANCER.data, CANCER.target)
    leaves = set(np.flatnonzero(tree.tree_.feature < 0).tolist())
    assert set(tree.apply(matrix(probes(tree))).tolist()) == leaves


def test_thresholds_behind_a_scaler_are_taken_back_through_it() -> None:
    model = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0)).fit(CANCER.data, CANCER.target)
    scaler, tree = model[0], model[1].tree_
    scaled = scaler.transform(matrix(probes(model)))
    inner = tree.feature >= 0
    for feature, threshold in zip(tree.feature[inner], tree.threshold[inner], strict=True):
        assert np.nanmin(np.abs(scaled[:, feature] - threshold)) < 1e-9 * max(1.0, abs(threshold))


def test_thresholds_behind_a_table_of_columns_are_taken_back_to_them() -> None:
    frame = pd.DataFrame(IRIS.data, columns=["a", "b", "c", "d"]).assign(kind=["x", "y"] * 75)
    numeric = make_pipeline(SimpleImputer(), StandardScaler())
    table = ColumnTransformer([("kind", OneHotEncoder(), ["kind"]), ("numbers", numeric, ["c", "a"])])
    model = make_pipeline(table, DecisionTreeClassifier(random_state=0)).fit(frame, IRIS.target)
    rows = probes(model)
    names = [field.name for field in describe(model).fields]
    asked = pd.DataFrame({name: [row[i] for row in rows] for i, name in enumerate(names)}).reindex(
        columns=frame.columns
    )
    seen = model[0].transform(asked.fillna({"b": 0.0, "d": 0.0}))
    tree = model[1].tree_
    for feature, threshold in zip(tree.feature, tree.threshold, strict=True):
        if feature >= 2:  # the first two are those of the encoder
            assert np.nanmin(np.abs(seen[:, feature] - threshold)) < 1e-9


def test_histograms_thresholds_are_probed_as_float64_has_them() -> None:
    model = HistGradientBoostingClassifier(max_iter=3, random_state=0).fit(IRIS.data, IRIS.target)
    nodes = model._predictors[0][0].nodes
    column = set(matrix(probes(model))[:, nodes[0]["feature_idx"]].tolist())
    threshold = float(nodes[0]["num_threshold"])
    assert {threshold, float(np.nextafter(threshold, np.inf)), float(np.nextafter(threshold, -np.inf))} <= column


def test_rows_that_a_model_remembers_are_among_them() -> None:
    model = KNeighborsClassifier().fit(IRIS.data, IRIS.target)
    asked = {tuple(row) for row in probes(model)}
    assert len(asked & set(map(tuple, IRIS.data.tolist()))) > 50


def test_neighbours_are_probed_where_they_tie() -> None:
    """Where the last that counts and the next are at the same distance, and say different things."""
    model = make_pipeline(StandardScaler(), KNeighborsRegressor()).fit(IRIS.data[::2], IRIS.target[::2])
    distances, near = model[1].kneighbors(model[0].transform(matrix(probes(model))), n_neighbors=6)
    tied = distances[:, 5] - distances[:, 4] < 1e-9 * distances[:, 5]
    assert (IRIS.target[::2][near[tied, 4]] != IRIS.target[::2][near[tied, 5]]).sum() > 3


def test_magnitudes_gaps_ranges_and_examples() -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    inputs = [
        Field(name="f0", nullable=True),
        Field(name="f1", range=(2.0, 3.0)),
        Field(name="f2", dtype="int8"),
        Field(name="f3", dtype="bool"),
    ]
    example = [1.25, 2.5, 3, True]
    rows = probes(model, inputs, [example])
    columns = [{row[i] for row in rows} for i in range(4)]
    assert example in rows
    assert {None, 1e6, -1e6, 0.0} <= columns[0]
    assert {2.0, 3.0, 1.0, 4.0} <= columns[1]
    assert columns[2] <= set(range(-128, 128))
    assert columns[3] == {False, True}


@pytest.mark.parametrize(("unknown", "asked"), [("warn", True), ("refuse", False)])
def test_an_unknown_category_is_probed_where_one_may_come(unknown: Any, asked: bool) -> None:
    model = LogisticRegression().fit(IRIS.data[:, :2], IRIS.target)
    inputs = [Field(name="f0", dtype="string", categories=("a", "b"), unknown=unknown), Field(name="f1")]
    found = {row[0] for row in probes(model, inputs)}
    assert {"a", "b"} <= found
    assert (STRANGER in found) is asked


def test_texts_hold_words_that_the_model_knows_and_others() -> None:
    model = make_pipeline(CountVectorizer(), LogisticRegression()).fit(["good film", "bad film"], [1, 0])
    texts = [row[0] for row in probes(model)]
    assert any({"good", "bad"} <= set(text.split()) for text in texts)
    assert "" in texts
    assert any("unheard" in text for text in texts)


def test_texts_hold_what_the_model_drops_and_other_spellings() -> None:
    """Between two words that make a pair: a word that is dropped, or one of a single letter."""
    vectorizer = CountVectorizer(ngram_range=(1, 2), stop_words=["and"])
    model = make_pipeline(vectorizer, LogisticRegression()).fit(["good film", "bad film"], [1, 0])
    texts = [row[0] for row in probes(model)]
    assert {"good and film", "bad and film"} & set(texts)
    assert any(" a " in text for text in texts)
    assert any("FILM" in text or "GOOD" in text for text in texts)
    assert any("Film" in text or "Good" in text for text in texts)


def test_a_number_between_categories_is_probed_where_it_may_come() -> None:
    """What takes 1.5 for 1 is found out."""
    model = LogisticRegression().fit(IRIS.data[:, :2], IRIS.target)
    inputs = [Field(name="f0", categories=(1.0, 2.0)), Field(name="f1", dtype="int64", categories=(1, 2))]
    rows = probes(model, inputs)
    assert {1.0, 2.0, 1.5, 3.0} <= {row[0] for row in rows}
    assert {row[1] for row in rows} == {1, 2, 3}


def test_the_same_model_is_probed_with_the_same_rows_and_not_too_many() -> None:
    model = RandomForestClassifier(20, random_state=0).fit(CANCER.data, CANCER.target)
    first, second = (probes(model) for _ in range(2))
    assert np.array_equal(matrix(first), matrix(second), equal_nan=True)
    assert 3000 < len(first) <= 4000
    wide = [Field(name=f"f{i}") for i in range(5000)]
    assert len(probes(LogisticRegression(), wide)) < 200


def test_rows_of_the_training_data_are_among_the_probes_and_leave_room_for_the_others() -> None:
    model = LogisticRegression(max_iter=500).fit(IRIS.data, IRIS.target)
    sample = IRIS.data.tolist()
    inputs = describe(model).fields
    rows = probe_rows(model, inputs, None, [], sample=sample)
    assert all(row in rows for row in sample)
    few = probe_rows(model, inputs, None, [], most=100, sample=sample)
    assert len([row for row in few if row in sample]) == 25
    assert 80 < len(few) <= 130
