"""LightGBM's trees as ONNX graphs. They compare and add doubles, and so do these."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from penstock.compile.forest import AT_MOST, LEAF, Tree, totals
from penstock.compile.graph import Graph

AS_IT_IS = ("regression", "regression_l1", "huber", "fair", "quantile", "mape")
BY_EXPONENT = ("poisson", "gamma", "tweedie")


def write_values(graph: Graph) -> None:
    """LGBMRegressor."""
    dumped = _dumped(graph.model)
    name, *settings = dumped["objective"].split()
    total = _total(graph, dumped)
    if name in BY_EXPONENT:
        total = graph("Exp", total)
    elif name not in AS_IT_IS or "sqrt" in settings:
        raise NotImplementedError(f"no graph is known for the objective {dumped['objective']}")
    graph.answer(0, total)


def write_classes(graph: Graph) -> None:
    """LGBMClassifier: the likeliest class, the first of equals."""
    dumped = _dumped(graph.model)
    name, *settings = dumped["objective"].split()
    total = _total(graph, dumped)
    if name == "binary":
        probabilities = _logistic(graph, total, dict(each.split(":") for each in settings))
    elif name == "multiclass":
        probabilities = graph("Softmax", total, axis=1)
    else:
        raise NotImplementedError(f"no graph is known for the objective {dumped['objective']}")
    graph.labels(graph("ArgMax", probabilities, axis=1, keepdims=0))
    if graph.option("raw_scores"):
        probabilities = total if name == "multiclass" else graph("Concat", graph("Neg", total), total, axis=1)
    graph.answer(1, probabilities)


def _dumped(model: Any) -> dict[str, Any]:
    dumped: dict[str, Any] = model.booster_.dump_model(num_iteration=model.best_iteration_ or -1)
    if dumped["average_output"]:
        raise NotImplementedError("it averages its trees")
    return dumped


def _total(graph: Graph, dumped: dict[str, Any]) -> str:
    trees = [_tree(each["tree_structure"]) for each in dumped["tree_info"]]
    return totals(graph, graph.features(), trees, np.float64, groups=dumped["num_tree_per_iteration"])


def _tree(root: dict[str, Any]) -> Tree:
    nodes = list(_nodes(root))
    place = {id(node): number for number, node in enumerate(nodes)}
    splits = ["left_child" in node for node in nodes]
    return Tree(
        mode=np.where(splits, AT_MOST, LEAF),
        feature=np.array([node.get("split_feature", 0) for node in nodes]),
        threshold=np.array([node.get("threshold", 0.0) for node in nodes]),
        yes=np.array([place[id(node.get("left_child", node))] for node in nodes]),
        no=np.array([place[id(node.get("right_child", node))] for node in nodes]),
        nan_to_yes=np.array([_missing_goes_left(node) for node in nodes], np.int64),
        value=np.array([[node.get("leaf_value", 0.0)] for node in nodes]),
    )


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in ("left_child", "right_child"):
        if child in node:
            yield from _nodes(node[child])


def _missing_goes_left(node: dict[str, Any]) -> bool:
    """Where nothing was missing in training, what is missing later counts as nought."""
    if "left_child" not in node:
        return False
    if node["decision_type"] != "<=":
        raise NotImplementedError("it splits by category")
    if node["missing_type"] == "Zero":
        raise NotImplementedError("a nought stands for a missing value")
    return bool(node["default_left"] if node["missing_type"] == "NaN" else node["threshold"] >= 0)


def _logistic(graph: Graph, total: str, settings: dict[str, str]) -> str:
    slope = -float(settings["sigmoid"])
    second = graph("Div", 1.0, graph("Add", 1.0, graph("Exp", graph("Mul", total, slope))))
    return graph("Concat", graph("Sub", 1.0, second), second, axis=1)
