"""Models whose answers give their rows away."""

from pathlib import Path

import numpy as np
from onnx import helper

from tests.host.nets import DOUBLE, FLOAT, INT64, save

FEATURES = 4


def largest(path: Path) -> Path:
    """A classifier: which of the first three features is the largest, and how clearly."""
    picked = np.eye(FEATURES, 3, dtype=np.float32)
    nodes = [
        helper.make_node("MatMul", ["x", "picked"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["scores"], ["label"], axis=1, keepdims=0),
    ]
    outputs = [("label", INT64, ["n"]), ("probabilities", FLOAT, ["n", 3])]
    return save(path, nodes, [("x", FLOAT, ["n", FEATURES])], outputs, picked=picked)


def echo(path: Path) -> Path:
    """Answers each row with its first feature, exact up to 2⁵³."""
    first = np.eye(FEATURES, 1)
    node = helper.make_node("MatMul", ["x", "first"], ["y"])
    return save(path, [node], [("x", DOUBLE, ["n", FEATURES])], [("y", DOUBLE, ["n", 1])], first=first)


def wide(path: Path, width: int = 180) -> Path:
    """Answers each row with `width` numbers, so that a few thousand log lines fill whatever holds them."""
    weights = np.full((FEATURES, width), 0.12345, dtype=np.float32)
    node = helper.make_node("MatMul", ["x", "weights"], ["y"])
    return save(path, [node], [("x", FLOAT, ["n", FEATURES])], [("y", FLOAT, ["n", width])], weights=weights)
