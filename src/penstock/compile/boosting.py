"""Boosted trees: what all trees hold is added to a beginning, and a link makes answers of the sum."""

from typing import Any

import numpy as np
from sklearn.dummy import DummyClassifier, DummyRegressor

from penstock.compile.forest import Doubles, Tree, constant, totals
from penstock.compile.graph import Graph, Number
from penstock.compile.nodes import binary_tree, histogram_tree

RANDOM = ("stratified", "uniform")  # strategies of a DummyClassifier


def write_gradient_classes(graph: Graph) -> None:
    """GradientBoostingClassifier: of two classes the second one from a sum of nought on."""
    _write_classes(graph, _gradient_total(graph), "GreaterOrEqual")


def write_gradient_values(graph: Graph) -> None:
    """GradientBoostingRegressor."""
    graph.answer(0, _gradient_total(graph))


def write_histogram_classes(graph: Graph) -> None:
    """HistGradientBoostingClassifier: of two classes the second one above a sum of nought."""
    _write_classes(graph, _histogram_total(graph), "Greater")


def write_histogram_values(graph: Graph) -> None:
    """HistGradientBoostingRegressor."""
    total, link = _histogram_total(graph), type(graph.model._loss.link).__name__
    if link not in ("IdentityLink", "LogLink"):
        raise NotImplementedError(f"no graph is known for the link {link}")
    graph.answer(0, graph("Exp", total) if link == "LogLink" else total)


def trees_vote(model: Any) -> bool:
    """Whether AdaBoost's estimators are trees. skl2onnx knows what to do with others."""
    return all(hasattr(each, "tree_") for each in model.estimators_)


def write_vote(graph: Graph) -> None:
    """AdaBoostClassifier over trees: each tree votes for one class, and in part against each other one."""
    model = graph.model
    votes = [
        _votes(each, weight, model.classes_)
        for each, weight in zip(model.estimators_, model.estimator_weights_, strict=False)
    ]
    total = totals(graph, graph.features(np.float32), votes, np.float32)
    mean = graph("Div", total, model.estimator_weights_.sum())
    if len(model.classes_) > 2:
        _write_scores(graph, mean, graph("Div", mean, len(model.classes_) - 1.0))
        return
    against, for_it = (graph("Gather", mean, [column], axis=1) for column in range(2))
    decision = graph("Sub", for_it, against)
    both = graph("Concat", graph("Neg", decision), decision, axis=1)
    _write_scores(graph, both, graph("Div", both, 2.0))


def _votes(estimator: Any, weight: float, classes: Any) -> Tree:
    tree = estimator.tree_
    chosen = estimator.classes_[tree.value[:, 0, :].argmax(axis=1)]
    return binary_tree(tree, np.where(chosen[:, None] == classes, weight, -1 / (len(classes) - 1) * weight))


def _write_scores(graph: Graph, raw: str, scaled: str) -> None:
    graph.labels(graph("ArgMax", raw, axis=1, keepdims=0))
    graph.answer(1, raw if graph.option("raw_scores") else graph("Softmax", scaled, axis=1))


def _gradient_total(graph: Graph) -> str:
    model = graph.model
    trees = [
        binary_tree(each.tree_, model.learning_rate * each.tree_.value[:, 0])
        for each in model.estimators_.ravel()  # iteration by iteration, and of each its classes
    ]
    return _boosted(graph, graph.features(np.float32), _beginning(model), trees, np.float32)


def _beginning(model: Any) -> Doubles:
    """What the sum of gradient boosting begins with: [1, outputs]."""
    if isinstance(model.init_, DummyClassifier | DummyRegressor):
        is_constant = getattr(model.init_, "strategy", None) not in RANDOM
    else:
        is_constant = isinstance(model.init_, str)  # "zero"
    if not is_constant:
        raise NotImplementedError(f"its sum begins with the answers of a {type(model.init_).__name__}")
    beginning: Doubles = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32))
    return beginning


def _histogram_total(graph: Graph) -> str:
    model = graph.model
    rows, known = _encoded(graph)
    trees = [histogram_tree(each, known) for iteration in model._predictors for each in iteration]
    return _boosted(graph, rows, model._baseline_prediction.reshape(1, -1), trees, np.float64)


def _boosted(graph: Graph, rows: str, beginning: Doubles, trees: list[Tree], number: Number) -> str:
    """Sums of every tree's leaves and their beginnings: [rows, outputs]."""
    beginnings = [constant(value) for value in beginning.astype(np.float64).reshape(-1, 1)]
    return totals(graph, rows, [*beginnings, *trees], number, groups=len(beginnings))


def _encoded(graph: Graph) -> tuple[str, dict[int, int]]:
    """The rows as histogram gradient boosting sees them, and how many categories each categorical column has.

    Categorical columns come first, as numbers from 1 on; a category that was not trained on is 0, as is a missing one.
    """
    rows = graph.features()
    categorical = graph.model.is_categorical_
    if categorical is None:
        return rows, {}
    encoder = graph.model._preprocessor.named_transformers_["encoder"]
    columns, known = [], {}
    for position, (feature, categories) in enumerate(
        zip(np.flatnonzero(categorical), encoder.categories_, strict=True)
    ):
        if categories.dtype.kind not in "biuf":
            raise NotImplementedError(f"its column {feature} has categories that are not numbers")
        numbers = categories[~np.isnan(categories.astype(np.float64))].astype(np.float64)
        same = graph("Equal", graph("Gather", rows, [feature], axis=1), numbers)
        codes = np.arange(1.0, len(numbers) + 1).reshape(-1, 1)
        columns.append(graph("MatMul", graph.cast(same), codes))
        known[position] = len(numbers)
    numeric = graph("Gather", rows, np.flatnonzero(~categorical), axis=1)
    return graph("Concat", *columns, numeric, axis=1), known


def _write_classes(graph: Graph, total: str, comparison: str) -> None:
    """Labels and probabilities of a sum [rows, 1], for two classes, or [rows, classes]."""
    several = len(graph.model.classes_) > 2
    if several:
        chosen = graph("ArgMax", total, axis=1, keepdims=0)
        scores = total
    else:
        second = graph.cast(graph(comparison, total, 0.0), np.int64)
        chosen = graph("Reshape", second, [-1])
        scores = graph("Concat", graph("Neg", total), total, axis=1)
    graph.labels(chosen)
    graph.answer(1, scores if graph.option("raw_scores") else _probabilities(graph, total))


def _probabilities(graph: Graph, total: str) -> str:
    link = type(graph.model._loss.link).__name__
    if link == "MultinomialLogit":
        return graph("Softmax", total, axis=1)
    if link not in ("LogitLink", "HalfLogitLink"):
        raise NotImplementedError(f"no graph is known for the link {link}")
    logit = graph("Mul", total, 2.0) if link == "HalfLogitLink" else total
    second = graph("Div", 1.0, graph("Add", 1.0, graph("Exp", graph("Neg", logit))))
    return graph("Concat", graph("Sub", 1.0, second), second, axis=1)
