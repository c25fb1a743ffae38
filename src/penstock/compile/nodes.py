"""scikit-learn's trees, node by node."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.compile.forest import AT_MOST, EQUAL, LEAF, Doubles, Ints, Tree

BITS = np.arange(256)  # as many as scikit-learn's sets of categories have


def binary_tree(tree: Any, value: Doubles, features: Ints | None = None) -> Tree:
    """A `Tree` of scikit-learn whose nodes hold `value` [nodes, outputs], grown on these `features` of the rows."""
    leaf = tree.children_left < 0
    feature = np.where(leaf, 0, tree.feature)
    return Tree(
        mode=np.where(leaf, LEAF, AT_MOST),
        feature=feature if features is None else features[feature],
        threshold=np.where(leaf, 0.0, tree.threshold),
        yes=np.where(leaf, 0, tree.children_left),
        no=np.where(leaf, 0, tree.children_right),
        nan_to_yes=tree.missing_go_to_left,
        value=value,
    )


def histogram_tree(predictor: Any, known: dict[int, int]) -> Tree:
    """A tree of histogram gradient boosting; `known` is the number of categories of each categorical feature.

    Categories are numbered from 1; one that was not trained on is 0, as is a missing one. A split by category becomes
    a chain of questions, "is it this one?", for those categories that do not go where an unknown one goes.
    """
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    tree = Tree(
        mode=np.where(leaf, LEAF, AT_MOST),
        feature=np.where(leaf, 0, nodes["feature_idx"]).astype(np.int64),
        threshold=np.where(leaf, 0.0, nodes["num_threshold"]),
        yes=np.where(leaf, 0, nodes["left"]).astype(np.int64),
        no=np.where(leaf, 0, nodes["right"]).astype(np.int64),
        nan_to_yes=nodes["missing_go_to_left"],
        value=nodes["value"].reshape(-1, 1),
    )
    for node in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf).tolist():
        bits = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]]
        goes_left = _members(bits)[: known[int(tree.feature[node])]]
        tree = _asked_one_by_one(tree, node, goes_left)
    return tree


def _members(bits: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which of the numbers from 0 to 255 are in a set of eight words."""
    return (bits[BITS // 32] >> (BITS % 32).astype(np.uint32) & 1).astype(bool)


def _asked_one_by_one(tree: Tree, node: int, goes_left: NDArray[np.bool_]) -> Tree:
    """`node` asks for one category, and each further one is asked for by a node at the end of the tree."""
    unknown_left = bool(tree.nan_to_yes[node])
    codes = np.flatnonzero(goes_left != unknown_left) + 1.0
    codes = codes if len(codes) else np.array([-1.0])  # a code that nothing has
    chosen, other = (tree.no, tree.yes) if unknown_left else (tree.yes, tree.no)
    size, more = len(tree.mode), len(codes) - 1
    places = np.array([node, *range(size, size + more)])
    longer = Tree(*(np.concatenate([field, np.repeat(field[node : node + 1], more, axis=0)]) for field in tree))
    longer.mode[places], longer.threshold[places], longer.nan_to_yes[places] = EQUAL, codes, 0
    longer.yes[places], longer.no[places] = chosen[node], [*places[1:], other[node]]
    return longer
