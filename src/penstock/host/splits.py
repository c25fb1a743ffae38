"""Where trees split: rows that reach a node and lie on its threshold or one float beside it."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

VARIANTS = 5
LEAF = -1


class Splits(NamedTuple):
    """The nodes of a binary tree; `feature` is negative in a leaf."""

    feature: Sequence[int]
    threshold: Sequence[float]
    left: Sequence[int]
    right: Sequence[int]


def beside_splits(tree: Splits, width: int, most: int, dice: np.random.Generator) -> NDArray[np.float64]:
    """About `most` rows of `width` columns, NaN where the way to the node leaves a column open."""
    inner = [node for node, feature in enumerate(tree.feature) if feature >= 0]
    above = {child: node for node in inner for child in (tree.left[node], tree.right[node])}
    rows = [np.empty((0, width))]
    for node in [inner[i] for i in dice.permutation(len(inner))[: max(1, most // VARIANTS)]]:
        row = _at(tree, node, above, width)
        variants = np.tile(row, (VARIANTS, 1))
        variants[:, tree.feature[node]] = _neighbours(float(tree.threshold[node]))
        rows.append(variants)
    return np.concatenate(rows)


def _neighbours(threshold: float) -> tuple[float, ...]:
    """The threshold and the numbers beside it, as float64 has them and as float32 has."""
    narrow = np.float32(threshold)
    return (
        threshold,
        float(np.nextafter(threshold, -np.inf)),
        float(np.nextafter(threshold, np.inf)),
        float(np.nextafter(narrow, np.float32(-np.inf))),
        float(np.nextafter(narrow, np.float32(np.inf))),
    )


def _at(tree: Splits, node: int, above: dict[int, int], width: int) -> NDArray[np.float64]:
    """A row that gets as far as `node`."""
    low, high = np.full(width, -np.inf), np.full(width, np.inf)
    while node in above:
        parent = above[node]
        feature, threshold = tree.feature[parent], tree.threshold[parent]
        if tree.left[parent] == node:
            high[feature] = min(high[feature], threshold)
        else:
            low[feature] = max(low[feature], threshold)
        node = parent
    row = np.full(width, np.nan)
    both = np.isfinite(low) & np.isfinite(high)
    row[both] = (low[both] + high[both]) / 2
    below, beyond = np.isfinite(high) & ~both, np.isfinite(low) & ~both
    row[below] = high[below] - 0.1 - abs(high[below]) / 10
    row[beyond] = low[beyond] + 0.1 + abs(low[beyond]) / 10
    return row


def trees_of(estimator: Any) -> list[Splits]:
    """The trees of this very estimator and of none within it, in whichever way its library keeps them."""
    if hasattr(estimator, "tree_"):
        tree = estimator.tree_
        columns = (tree.feature, tree.threshold, tree.children_left, tree.children_right)
        return [Splits(*(column.tolist() for column in columns))]
    if hasattr(estimator, "_predictors"):
        return [_of_histogram(predictor.nodes) for stage in estimator._predictors for predictor in stage]
    if callable(getattr(estimator, "get_booster", None)):
        model = json.loads(estimator.get_booster().save_raw("json"))["learner"]["gradient_booster"].get("model", {})
        return [_of_xgboost(tree) for tree in model.get("trees", ())]
    if callable(getattr(getattr(estimator, "booster_", None), "dump_model", None)):
        dumped = estimator.booster_.dump_model()["tree_info"]
        return [_of_lightgbm(tree["tree_structure"]) for tree in dumped]
    return []


def _of_histogram(nodes: Any) -> Splits:
    numeric = (nodes["is_leaf"] == 0) & (nodes["is_categorical"] == 0)
    feature = np.where(numeric, nodes["feature_idx"].astype(np.int64), LEAF)
    columns = (feature, nodes["num_threshold"], nodes["left"].astype(np.int64), nodes["right"].astype(np.int64))
    return Splits(*(column.tolist() for column in columns))


def _of_xgboost(tree: dict[str, Any]) -> Splits:
    inner = [left >= 0 for left in tree["left_children"]]
    feature = [index if is_inner else LEAF for index, is_inner in zip(tree["split_indices"], inner, strict=True)]
    return Splits(feature, tree["split_conditions"], tree["left_children"], tree["right_children"])


def _of_lightgbm(root: dict[str, Any]) -> Splits:
    nodes = [root]
    feature, threshold, left, right = [], [], [], []
    for node in nodes:  # it grows while it is gone through
        numeric = node.get("decision_type") == "<="
        feature.append(node["split_feature"] if numeric else LEAF)
        threshold.append(float(node["threshold"]) if numeric else 0.0)
        children = [node[side] for side in ("left_child", "right_child") if side in node]
        left.append(len(nodes) if children else LEAF)
        right.append(len(nodes) + 1 if children else LEAF)
        nodes += children
    return Splits(feature, threshold, left, right)
