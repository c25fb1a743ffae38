"""Trees and their ensembles as ONNX graphs: decisions and sums are the original's, beside every threshold."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import skl2onnx
from numpy.typing import NDArray
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import (
    AdaBoostClassifier,
    AdaBoostRegressor,
    BaggingClassifier,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor, ExtraTreeClassifier, ExtraTreeRegressor
from threadpoolctl import threadpool_limits

from penstock.compile.conversion import own_converters

Rows = NDArray[Any]
Make = Callable[[], Any]

ROUNDING = 4e-16  # of a probability, where ONNX Runtime and numpy round an exponential differently
THRESHOLDS = 60  # of each model, drawn by chance
SEED = np.random.default_rng(20)

IRIS = load_iris(return_X_y=True)
CANCER = load_breast_cancer(return_X_y=True)
DIABETES = load_diabetes(return_X_y=True)
FLOWERS = (IRIS[0], load_iris().target_names[IRIS[1]])
HOLES = (np.where(SEED.random(CANCER[0].shape) < 0.2, np.nan, CANCER[0]), CANCER[1])
KINDS = np.column_stack([SEED.integers(0, 90, 900) * 1.5 - 7, SEED.normal(size=900), SEED.integers(0, 4, 900)])
KINDS[:50, 2] = np.nan
BY_KIND = (KINDS, (np.sin(KINDS[:, 0] * 7) + KINDS[:, 1] > 0).astype(int) + (KINDS[:, 2] == 2))
SEVERAL = (IRIS[0], np.column_stack([IRIS[1], IRIS[1] > 0]))
MILLIONS = (DIABETES[0], DIABETES[1] * 100_003)
OPPOSITES = (DIABETES[0], np.column_stack([DIABETES[1], -DIABETES[1]]))

EXACT: dict[str, tuple[Make, Any]] = {
    "a tree": (lambda: DecisionTreeClassifier(random_state=0), CANCER),
    "a tree that knows names": (lambda: DecisionTreeClassifier(random_state=0), FLOWERS),
    "a tree that met holes": (lambda: DecisionTreeClassifier(random_state=0), HOLES),
    "a tree of one class": (DecisionTreeClassifier, (IRIS[0], np.ones(150, int))),
    "a tree of several outputs": (lambda: DecisionTreeClassifier(max_depth=3, random_state=0), SEVERAL),
    "a random tree": (lambda: ExtraTreeClassifier(random_state=0), CANCER),
    "a forest": (lambda: RandomForestClassifier(20, random_state=0), CANCER),
    "a shallow forest": (lambda: RandomForestClassifier(20, max_depth=4, random_state=0), CANCER),
    "a forest that knows names": (lambda: RandomForestClassifier(20, random_state=0), FLOWERS),
    "a forest that met holes": (lambda: RandomForestClassifier(20, random_state=0), HOLES),
    "a forest of several outputs": (lambda: RandomForestClassifier(9, max_depth=3, random_state=0), SEVERAL),
    "a random forest": (lambda: ExtraTreesClassifier(20, random_state=0), HOLES),
    "a regression tree": (lambda: DecisionTreeRegressor(random_state=0), DIABETES),
    "a random regression tree": (lambda: ExtraTreeRegressor(random_state=0), DIABETES),
    "a regression forest": (lambda: RandomForestRegressor(10, random_state=0), DIABETES),
    "a shallow regression forest": (lambda: RandomForestRegressor(10, max_depth=4, random_state=0), DIABETES),
    "a forest that counts far": (lambda: RandomForestRegressor(10, random_state=0), MILLIONS),
    "a random regression forest": (lambda: ExtraTreesRegressor(10, random_state=0), OPPOSITES),
    "boosted regression": (lambda: GradientBoostingRegressor(n_estimators=20, random_state=0), DIABETES),
    "boosted medians": (lambda: GradientBoostingRegressor(loss="quantile", n_estimators=20, random_state=0), DIABETES),
    "histogram regression": (lambda: HistGradientBoostingRegressor(max_iter=20), DIABETES),
    "boosted trees of one constant": (
        lambda: GradientBoostingClassifier(init=DummyClassifier(strategy="constant", constant=1), n_estimators=5),
        CANCER,
    ),
    "weighted medians": (lambda: AdaBoostRegressor(n_estimators=10, random_state=0), DIABETES),
}
ROUNDED: dict[str, tuple[Make, Any]] = {
    "boosted trees": (lambda: GradientBoostingClassifier(n_estimators=20, random_state=0), CANCER),
    "boosted trees from nought": (lambda: GradientBoostingClassifier(init="zero", n_estimators=9), CANCER),
    "boosted trees of three classes": (lambda: GradientBoostingClassifier(n_estimators=9, random_state=0), FLOWERS),
    "boosted trees by another loss": (lambda: GradientBoostingClassifier(loss="exponential", n_estimators=9), CANCER),
    "histograms": (lambda: HistGradientBoostingClassifier(max_iter=20), CANCER),
    "histograms of three classes": (lambda: HistGradientBoostingClassifier(max_iter=9), FLOWERS),
    "histograms with holes": (lambda: HistGradientBoostingClassifier(max_iter=20), HOLES),
    "histograms with categories": (
        lambda: HistGradientBoostingClassifier(max_iter=20, categorical_features=[0, 2]),
        BY_KIND,
    ),
    "counts": (lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=20), DIABETES),
    "votes": (lambda: AdaBoostClassifier(n_estimators=20, random_state=0), CANCER),
    "votes of three classes": (lambda: AdaBoostClassifier(n_estimators=20, random_state=0), FLOWERS),
    "isolation": (
        lambda: IsolationForest(n_estimators=20, contamination=0.1, max_features=0.4, random_state=0),
        CANCER,
    ),
    "a pipeline": (lambda: make_pipeline(StandardScaler(), RandomForestClassifier(9, random_state=0)), CANCER),
    "columns of a pipeline": (
        lambda: make_pipeline(
            ColumnTransformer([("scaled", StandardScaler(), [0, 1]), ("as they are", "passthrough", [2, 3])]),
            HistGradientBoostingClassifier(max_iter=9),
        ),
        IRIS,
    ),
    "a soft vote": (
        lambda: VotingClassifier(
            [("forest", RandomForestClassifier(9)), ("line", LogisticRegression(max_iter=9000))],
            voting="soft",
            flatten_transform=False,  # skl2onnx asks for it, and predictions do not depend on it
        ),
        IRIS,
    ),
    "a stack": (
        lambda: StackingClassifier(
            [("forest", RandomForestClassifier(9)), ("boosted", GradientBoostingClassifier(n_estimators=9))],
            final_estimator=HistGradientBoostingClassifier(max_iter=9),
            cv=2,
        ),
        IRIS,
    ),
    "calibrated trees": (lambda: CalibratedClassifierCV(GradientBoostingClassifier(n_estimators=9), cv=2), CANCER),
    "a bag": (lambda: BaggingClassifier(ExtraTreesClassifier(5), n_estimators=3, max_features=0.5), IRIS),
    "one forest an output": (lambda: MultiOutputRegressor(RandomForestRegressor(5)), OPPOSITES),
}


@pytest.fixture(autouse=True, scope="module")
def registered() -> Iterator[None]:
    with own_converters(), threadpool_limits(1):  # threads that wait for one another take longer than the trees do
        yield


def session(model: Any, width: int, kind: type = DoubleTensorType, **options: bool) -> onnxruntime.InferenceSession:
    chosen = {id(model): options | ({"zipmap": False} if hasattr(model, "classes_") else {})}
    graph = skl2onnx.to_onnx(model, initial_types=[("rows", kind([None, width]))], options=chosen)
    quiet = onnxruntime.SessionOptions()
    quiet.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.SerializeToString(), quiet)


def answers(model: Any, rows: Rows, kind: type = DoubleTensorType, **options: bool) -> list[Rows]:
    found: list[Rows] = session(model, rows.shape[1], kind, **options).run(None, {"rows": rows})
    return found


def expected(model: Any, rows: Rows) -> list[Rows]:
    """What the graph should answer: labels and probabilities, labels and scores, or values."""
    predicted = model.predict(rows)
    if hasattr(model, "predict_proba"):
        return [predicted, _stacked(model.predict_proba(rows))]
    if hasattr(model, "score_samples"):
        return [predicted.reshape(-1, 1), model.decision_function(rows).reshape(-1, 1)]
    return [predicted.reshape(len(rows), -1)]


def _stacked(probabilities: Any) -> Rows:
    """Probabilities of several outputs as one tensor, filled up with noughts where an output has fewer classes."""
    if isinstance(probabilities, np.ndarray):
        return probabilities
    widest = max(each.shape[1] for each in probabilities)
    return np.array([np.pad(each, [(0, 0), (0, widest - each.shape[1])]) for each in probabilities])


def thresholds(model: Any) -> Iterator[tuple[int, float]]:
    """Each split of a model by number, wherever it is in it."""
    if hasattr(model, "tree_"):
        tree = model.tree_
        yield from zip(tree.feature[tree.feature >= 0], tree.threshold[tree.feature >= 0], strict=True)
    for iteration in getattr(model, "_predictors", []):
        for nodes in (predictor.nodes[predictor.nodes["is_leaf"] == 0] for predictor in iteration):
            yield from zip(nodes["feature_idx"], nodes["num_threshold"], strict=True)
    parts = list(getattr(model, "estimators_", [])) + [step for _, step in getattr(model, "steps", [])]
    for part in parts:
        for each in np.ravel(part) if isinstance(part, np.ndarray) else [part]:
            yield from thresholds(each)


def beside(threshold: float) -> list[float]:
    """The threshold, its neighbours as doubles and as singles, and what is far away on both sides."""
    single = np.float32(threshold)
    doubles = [threshold, np.nextafter(threshold, -np.inf), np.nextafter(threshold, np.inf)]
    singles = [single, np.nextafter(single, np.float32(-np.inf)), np.nextafter(single, np.float32(np.inf))]
    return [*doubles, *map(float, singles), 1e30, -1e30]


def probes(model: Any, rows: Rows) -> Rows:
    """Rows of the data, and each of them moved beside a threshold."""
    chance = np.random.default_rng(7)
    splits = [(feature, value) for feature, value in thresholds(model) if np.isfinite(value)]
    moved = [rows[:100]]
    for feature, threshold in [splits[each] for each in chance.permutation(len(splits))[:THRESHOLDS]]:
        values = beside(threshold)
        copies = np.repeat(rows[chance.integers(len(rows))][None], len(values), axis=0)
        copies[:, feature % rows.shape[1]] = values
        moved.append(copies)
    return np.concatenate(moved)


def disagreement(model: Any, rows: Rows, given: list[Rows]) -> float:
    """How far values are from the original's, of 1 or of what is larger; labels have to be the same."""
    wanted = expected(model, rows)
    if len(wanted) == 2:
        np.testing.assert_array_equal(given[0], wanted[0])
    assert given[-1].dtype == np.float64
    return float((np.abs(given[-1] - wanted[-1]) / np.maximum(np.abs(wanted[-1]), 1)).max())


@pytest.mark.parametrize("name", EXACT)
def test_every_bit_is_the_originals(name: str) -> None:
    make, data = EXACT[name]
    model = make().fit(*data)
    rows = probes(model, data[0])
    given, wanted = answers(model, rows), expected(model, rows)
    for some, others in zip(given, wanted, strict=True):
        np.testing.assert_array_equal(some, others)


@pytest.mark.parametrize("name", ROUNDED)
def test_labels_are_the_originals_and_values_differ_by_a_rounding_at_most(name: str) -> None:
    make, data = ROUNDED[name]
    model = make().fit(*data)
    rows = probes(model, data[0])
    assert disagreement(model, rows, answers(model, rows)) <= ROUNDING


@pytest.mark.parametrize("name", ["histograms with holes", "histograms with categories", "histograms"])
def test_what_is_missing_or_was_never_met_goes_where_the_original_sends_it(name: str) -> None:
    make, data = ROUNDED[name]
    model = make().fit(*data)
    chance = np.random.default_rng(3)
    rows = np.where(chance.random(data[0].shape) < 0.3, np.nan, data[0])
    strange = np.where(chance.random(rows.shape) < 0.2, chance.choice([0.5, -1, 2.5, 300, 1e300], rows.shape), rows)
    for each in (rows, strange):
        assert disagreement(model, each, answers(model, each)) <= ROUNDING


@pytest.mark.parametrize("name", ["a tree", "a forest", "boosted regression", "histogram regression"])
def test_a_threshold_that_is_off_by_one_single_is_noticed(name: str) -> None:
    make, data = EXACT[name]
    model = make().fit(*data)
    feature, threshold = next(thresholds(model))
    beside_it = np.repeat(data[0][:50], 3, axis=0)
    single = np.float32(threshold)
    beside_it[:, feature] = np.resize([single, np.nextafter(single, np.float32(np.inf)), threshold], 150)
    wanted = expected(model, beside_it)
    _move_first_threshold(model, float(np.nextafter(single, np.float32(np.inf))))
    given = answers(model, beside_it)
    assert not np.array_equal(given[-1], wanted[-1])


def _move_first_threshold(model: Any, value: float) -> None:
    first = model
    while hasattr(first, "estimators_"):
        first = np.ravel(first.estimators_)[0]
    if hasattr(first, "tree_"):
        first.tree_.threshold[0] = value
    else:
        first._predictors[0][0].nodes["num_threshold"][0] = value


@pytest.mark.parametrize("name", ["a forest", "histograms"])
def test_whole_numbers_and_singles_are_taken_too(name: str) -> None:
    make, (rows, labels) = (EXACT | ROUNDED)[name]
    for kind, number in ((Int64TensorType, np.int64), (FloatTensorType, np.float32)):
        converted = rows.astype(number)
        model = make().fit(converted, labels)
        assert disagreement(model, converted, answers(model, converted, kind)) <= ROUNDING


def test_columns_that_come_one_by_one_are_put_together() -> None:
    model = RandomForestClassifier(9, random_state=0).fit(*IRIS)
    columns = [(f"column{number}", DoubleTensorType([None, 1])) for number in range(4)]
    graph = skl2onnx.to_onnx(model, initial_types=columns, options={id(model): {"zipmap": False}})
    feed = {name: IRIS[0][:, [number]] for number, (name, _) in enumerate(columns)}
    _, given = onnxruntime.InferenceSession(graph.SerializeToString()).run(None, feed)
    np.testing.assert_array_equal(given, model.predict_proba(IRIS[0]))


def test_raw_scores_are_the_sums_that_decide() -> None:
    model = GradientBoostingClassifier(n_estimators=9).fit(*CANCER)
    _, scores = answers(model, CANCER[0], raw_scores=True)
    np.testing.assert_array_equal(scores[:, 1], model.decision_function(CANCER[0]))
    np.testing.assert_array_equal(scores[:, 0], -scores[:, 1])


def test_truth_is_a_class_like_any_other() -> None:
    model = RandomForestClassifier(5).fit(IRIS[0], IRIS[1] == 1)
    labels, probabilities = answers(model, IRIS[0])
    np.testing.assert_array_equal(labels, model.predict(IRIS[0]).astype(int))
    np.testing.assert_array_equal(probabilities, model.predict_proba(IRIS[0]))


def test_a_sum_of_nought_is_the_second_class_or_the_first_as_the_original_has_it() -> None:
    rows, labels = np.zeros((20, 1)), np.arange(20) % 2
    for model, label in (GradientBoostingClassifier(init="zero"), 1), (HistGradientBoostingClassifier(), 0):
        assert model.fit(rows, labels).decision_function(rows[:1]) == [0]
        assert answers(model, rows[:1])[0] == model.predict(rows[:1]) == [label]


def test_the_row_that_an_isolation_forest_draws_its_line_at_is_inside() -> None:
    rows = CANCER[0][:101]
    model = IsolationForest(contamination=0.1, n_estimators=20, random_state=0).fit(rows)
    assert 0 in model.decision_function(rows)
    np.testing.assert_array_equal(answers(model, rows)[0].ravel(), model.predict(rows))


def test_threads_change_no_bit() -> None:
    """A forest as large as those that ONNX Runtime divides among threads."""
    model = RandomForestRegressor(120, max_depth=3, random_state=0).fit(*DIABETES)
    graph = skl2onnx.to_onnx(model, initial_types=[("rows", DoubleTensorType([None, 10]))]).SerializeToString()
    for threads in (1, 4):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        found = onnxruntime.InferenceSession(graph, options)
        for rows in (DIABETES[0][:1], DIABETES[0]):
            np.testing.assert_array_equal(found.run(None, {"rows": rows})[0].ravel(), model.predict(rows))


def test_votes_of_other_models_are_left_to_skl2onnx() -> None:
    rows = IRIS[0].astype(np.float32)
    model = AdaBoostClassifier(LogisticRegression(max_iter=9000), n_estimators=3).fit(rows, IRIS[1])
    labels, probabilities = answers(model, rows, FloatTensorType)
    np.testing.assert_array_equal(labels, model.predict(rows))
    np.testing.assert_allclose(probabilities, model.predict_proba(rows), atol=1e-6)


def test_boosting_that_begins_with_another_model_is_refused() -> None:
    model = GradientBoostingClassifier(init=LogisticRegression(max_iter=9000), n_estimators=2).fit(*IRIS)
    with pytest.raises(NotImplementedError, match="begins with the answers of a LogisticRegression"):
        answers(model, IRIS[0])


def test_categories_that_are_text_are_refused() -> None:
    table = pd.DataFrame({"size": IRIS[0][:, 0], "name": pd.Categorical(FLOWERS[1])})
    model = HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype").fit(table, IRIS[1])
    with pytest.raises(NotImplementedError, match="categories that are not numbers"):
        session(model, 2)
