"""A forest in ONNX: which leaf each row comes to in each tree, and the sums of what the leaves hold.

ONNX Runtime's tree operator adds in single precision, or in an order of its own. Here it only finds leaves: each tree
answers with the number of its leaf, which looks up what the leaf holds, and that is added tree by tree, as the original
library adds it. So decisions and sums are the original's, bit for bit.

Whole numbers have the same sum in any order and precision, as long as it can be counted to: forests whose trees were
grown to the end hold nothing else, and there the operator adds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from penstock.compile.graph import Graph, Number

LEAF, AT_MOST, BELOW, EQUAL = "LEAF", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_EQ"
COUNTABLE = 1 << 24  # the operator answers in single precision, which counts no further

Ints = NDArray[np.int64]
Doubles = NDArray[np.float64]


class Tree(NamedTuple):
    """The nodes of a tree, each field [nodes]: a row for which `mode` holds goes to `yes`, else to `no`.

    At a leaf only `mode` and its row of `value` [nodes, outputs] mean anything.
    """

    mode: NDArray[Any]
    feature: Ints
    threshold: Doubles
    yes: Ints
    no: Ints
    nan_to_yes: NDArray[Any]
    value: NDArray[Any]


def constant(value: NDArray[Any]) -> Tree:
    """A tree that is one leaf, holding `value` [outputs]: what a sum begins with."""
    nought = np.zeros(1, np.int64)
    return Tree(np.array([LEAF]), nought, np.zeros(1), nought, nought, nought, value.reshape(1, -1))


def totals(graph: Graph, rows: str, trees: Sequence[Tree], number: Number = np.float64, groups: int = 1) -> str:
    """What the trees hold for each row, added in their order: [rows, outputs].

    `rows` is a matrix of `number`; for float32 thresholds become the next float32 below, which decides the same.
    With `groups` each leaf holds one number, and every `groups`-th tree adds to the same output: [rows, groups].
    """
    held = np.concatenate([tree.value[tree.mode == LEAF] for tree in trees])
    if groups == 1 and _are_countable(held, len(trees)):
        return _counted(graph, rows, trees, held, number)
    which = np.repeat(np.arange(len(trees)), [np.count_nonzero(tree.mode == LEAF) for tree in trees])
    if len(held) >= COUNTABLE:
        raise NotImplementedError(f"its trees have {len(held)} leaves, and only {COUNTABLE} can be told apart")
    leaves = _ensemble(graph, rows, trees, number, which.reshape(-1, 1), np.arange(len(held)).reshape(-1, 1))
    leaves = graph.cast(graph("Transpose", leaves, perm=[1, 0]), np.int32)
    if held.shape[1] > 1 or groups == 1:
        return graph("ReduceSum", graph("Gather", held, leaves, axis=0), [0], keepdims=0)
    held_apart = graph("Reshape", graph("Gather", held[:, 0], leaves, axis=0), [len(trees) // groups, groups, -1])
    return graph("Transpose", graph("ReduceSum", held_apart, [0], keepdims=0), perm=[1, 0])


def _are_countable(held: NDArray[Any], trees: int) -> bool:
    """Whether leaves that hold such numbers add up without rounding in single precision, in whatever order."""
    return bool((held == np.floor(held)).all() and np.abs(held).max() * trees < COUNTABLE)


def _counted(graph: Graph, rows: str, trees: Sequence[Tree], held: NDArray[Any], number: Number) -> str:
    """Whole numbers, added by the operator; of two that always make 1, it adds the second alone."""
    shares = held.shape[1] == 2 and bool((held.sum(axis=1) == 1).all())
    added = held[:, 1:] if shares else held
    outputs = np.tile(np.arange(added.shape[1]), (len(added), 1))
    total = graph.cast(_ensemble(graph, rows, trees, number, outputs, added))
    if not shares:
        return total
    return graph("Concat", graph("Sub", float(len(trees)), total), total, axis=1)


def _ensemble(
    graph: Graph, rows: str, trees: Sequence[Tree], number: Number, outputs: Ints, weights: NDArray[Any]
) -> str:
    """The operator, in which each leaf adds `weights` to `outputs`, both [leaves, as many as it adds to]."""
    sizes = [len(tree.mode) for tree in trees]
    tree_ids = np.repeat(np.arange(len(trees)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    modes = np.concatenate([tree.mode for tree in trees])
    leaf = modes == LEAF
    columns = {
        "nodes_treeids": tree_ids,
        "nodes_nodeids": node_ids,
        "nodes_featureids": np.concatenate([tree.feature for tree in trees]),
        "nodes_modes": modes,
        "nodes_truenodeids": np.concatenate([tree.yes for tree in trees]),
        "nodes_falsenodeids": np.concatenate([tree.no for tree in trees]),
        "nodes_missing_value_tracks_true": np.concatenate([tree.nan_to_yes for tree in trees]),
        "target_treeids": np.repeat(tree_ids[leaf], outputs.shape[1]),
        "target_nodeids": np.repeat(node_ids[leaf], outputs.shape[1]),
        "target_ids": outputs.ravel(),
    }
    numbers = {
        "nodes_values": np.concatenate([tree.threshold for tree in trees]),
        "target_weights": weights.ravel().astype(np.float64),
    }
    return graph(
        "TreeEnsembleRegressor",
        rows,
        domain="ai.onnx.ml",
        version=3,
        n_targets=int(outputs.max()) + 1,
        **{name: column.tolist() for name, column in columns.items()},
        **(_singles(numbers) if number is np.float32 else _doubles(numbers)),
    )


def _singles(numbers: dict[str, Doubles]) -> dict[str, list[float]]:
    return {name: rounded_down(column).tolist() for name, column in numbers.items()}


def _doubles(numbers: dict[str, Doubles]) -> dict[str, TensorProto]:
    return {f"{name}_as_tensor": numpy_helper.from_array(column) for name, column in numbers.items()}


def rounded_down(numbers: Doubles) -> NDArray[np.float32]:
    """The largest float32 that is not above each number: a float32 is at most the one if it is at most the other."""
    with np.errstate(over="ignore"):
        nearest = numbers.astype(np.float32)
    return np.where(nearest > numbers, np.nextafter(nearest, np.float32(-np.inf)), nearest)
