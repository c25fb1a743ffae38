"""XGBoost's trees as ONNX graphs. They add in single precision, and so do these."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from penstock.compile.forest import BELOW, LEAF, Tree, constant, totals
from penstock.compile.graph import Graph

AS_IT_IS = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")
BY_EXPONENT = ("count:poisson", "reg:gamma", "reg:tweedie")
ONE = np.float32(1)
LARGEST_EXPONENT = 88.7  # XGBoost goes no further, lest a single become infinite


def write_values(graph: Graph) -> None:
    """XGBRegressor."""
    learner = _learner(graph.model)
    objective, total = learner["objective"]["name"], _total(graph, learner)
    if objective in BY_EXPONENT:
        total = _exponential(graph, total)
    elif objective not in AS_IT_IS:
        raise NotImplementedError(f"no graph is known for the objective {objective}")
    graph.answer(0, total)


def write_classes(graph: Graph) -> None:
    """XGBClassifier: the likeliest class; of two the second one above one half."""
    learner = _learner(graph.model)
    objective, total = learner["objective"]["name"], _total(graph, learner)
    if objective == "binary:logistic":
        probabilities = _logistic(graph, total)
    elif objective == "multi:softprob":
        probabilities = _shares(graph, total)
    else:
        raise NotImplementedError(f"no graph is known for the objective {objective}")
    graph.labels(graph("ArgMax", probabilities, axis=1, keepdims=0))
    graph.answer(1, probabilities)


def _learner(model: Any) -> dict[str, Any]:
    learner: dict[str, Any] = json.loads(bytes(model.get_booster().save_raw("json")))["learner"]
    booster = learner["gradient_booster"]["name"]
    if booster != "gbtree":
        raise NotImplementedError(f"no graph is known for the booster {booster}")
    if not math.isnan(model.missing):
        raise NotImplementedError(f"{model.missing} stands for a missing value")
    return learner


def _total(graph: Graph, learner: dict[str, Any]) -> str:
    """Margins as singles: [rows, 1], or [rows, classes]."""
    forest = learner["gradient_booster"]["model"]
    beginnings = list(_beginnings(learner))
    rounds = forest["iteration_indptr"]
    best = learner.get("attributes", {}).get("best_iteration")
    count = rounds[-1] if best is None else rounds[int(best) + 1]
    if forest["tree_info"] != [number % len(beginnings) for number in range(rounds[-1])]:
        raise NotImplementedError("it grows several trees of a class at once")
    trees = [_tree(tree) for tree in forest["trees"][:count]]
    return totals(graph, graph.features(), [*beginnings, *trees], np.float32, groups=len(beginnings))


def _beginnings(learner: dict[str, Any]) -> Iterator[Tree]:
    """The base scores, which are stored as answers, as the sums that they are: rounded as C does it."""
    objective = learner["objective"]["name"]
    stored = json.loads(learner["learner_model_param"]["base_score"])
    for score in np.atleast_1d(np.array(stored, np.float32)):
        margin = float(score)
        if objective == "binary:logistic":
            margin = -np.log(float(ONE / score - ONE))
        elif objective in BY_EXPONENT:
            margin = np.log(margin)
        yield constant(np.array([margin], np.float32))


def _tree(tree: dict[str, Any]) -> Tree:
    if any(tree["split_type"]):
        raise NotImplementedError("it splits by category")
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise NotImplementedError("its leaves hold several numbers")
    leaf = np.array(tree["left_children"]) < 0
    condition = np.array(tree["split_conditions"], np.float32)  # a threshold, or what a leaf holds
    return Tree(
        mode=np.where(leaf, LEAF, BELOW),
        feature=np.where(leaf, 0, tree["split_indices"]),
        threshold=np.where(leaf, 0.0, condition.astype(np.float64)),
        yes=np.where(leaf, 0, tree["left_children"]),
        no=np.where(leaf, 0, tree["right_children"]),
        nan_to_yes=np.array(tree["default_left"]),
        value=condition.reshape(-1, 1),
    )


def _exponential(graph: Graph, margin: str) -> str:
    """The single that is next to the exponential: ONNX Runtime's own exponential of singles is less exact."""
    return graph.cast(graph("Exp", graph.cast(margin, np.float64)))


def _logistic(graph: Graph, margin: str) -> str:
    odds = _exponential(graph, graph("Min", graph("Neg", margin), LARGEST_EXPONENT))
    second = graph("Div", 1.0, graph("Add", odds, 1.0))
    return graph("Concat", graph("Sub", 1.0, second), second, axis=1)


def _shares(graph: Graph, margins: str) -> str:
    """A softmax of singles whose sum is a double's."""
    highest = graph("ReduceMax", margins, [1], keepdims=1)
    parts = _exponential(graph, graph("Sub", margins, highest))
    whole = graph("ReduceSum", graph.cast(parts, np.float64), [1], keepdims=1)
    return graph("Div", parts, graph.cast(whole))
