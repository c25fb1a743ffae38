"""Isolation forests: how soon each row stands alone, and whether that is sooner than it should be."""

from collections.abc import Callable

import numpy as np
from sklearn.ensemble._iforest import _average_path_length

from penstock.compile.forest import Doubles, totals
from penstock.compile.graph import Graph
from penstock.compile.nodes import binary_tree


def write_outliers(graph: Graph) -> None:
    """A label, 1 or -1 for an outlier, its score, and with the option `score_samples` the score before the offset."""
    model = graph.model
    paths = zip(model._decision_path_lengths, model._average_path_length_per_tree, strict=True)
    trees = [
        binary_tree(each.tree_, (path + rest - 1.0).reshape(-1, 1), features)
        for each, features, (path, rest) in zip(model.estimators_, model.estimators_features_, paths, strict=True)
    ]
    depth = totals(graph, graph.features(np.float32), trees, np.float32)
    usual = len(trees) * _average_path_length([model._max_samples])
    if not usual.all():
        raise NotImplementedError("its trees were grown on one row each")
    late_enough = least(lambda depths: -(2 ** -(depths / usual)) - model.offset_ >= 0)
    soon = graph.cast(graph("Less", depth, late_enough), np.int64)
    graph.answer(0, graph("Sub", 1, graph("Mul", soon, 2)))
    score = graph("Neg", graph("Pow", 2.0, graph("Neg", graph("Div", depth, usual))))
    graph.answer(1, graph("Sub", score, model.offset_))
    if graph.option("score_samples"):
        graph.answer(2, score)


def least(true_from: Callable[[Doubles], Doubles]) -> Doubles:
    """The least depth from which on a condition holds: as scikit-learn rounds, for ONNX may round a power otherwise."""
    low, high = np.zeros(1), np.full(1, 1e300)
    while np.nextafter(low, high) < high:
        middle = low / 2 + high / 2
        low, high = (low, middle) if true_from(middle).all() else (middle, high)
    return high
