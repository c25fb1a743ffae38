"""Lone trees, and forests whose trees are averaged."""

import numpy as np

from penstock.compile.forest import totals
from penstock.compile.graph import Graph, class_labels
from penstock.compile.nodes import binary_tree


def average(graph: Graph) -> str:
    """What the trees hold, averaged: [rows, outputs]."""
    trees = getattr(graph.model, "estimators_", [graph.model])
    planted = [binary_tree(each.tree_, each.tree_.value.reshape(each.tree_.node_count, -1)) for each in trees]
    total = totals(graph, graph.features(np.float32), planted, np.float32)
    return total if len(trees) == 1 else graph("Div", total, float(len(trees)))


def write_classes(graph: Graph) -> None:
    """The class of the highest mean probability, the first of equals."""
    if graph.model.n_outputs_ > 1:
        _write_classes_of_each_output(graph)
    else:
        probabilities = average(graph)
        graph.labels(graph("ArgMax", probabilities, axis=1, keepdims=0))
        graph.answer(1, probabilities)


def _write_classes_of_each_output(graph: Graph) -> None:
    """Outputs have classes of their own; where one has fewer than another, the rest are never probable."""
    classes = [class_labels(each) for each in graph.model.classes_]
    widest = max(map(len, classes))
    padded = np.concatenate([np.resize(each, widest) for each in classes])
    apart = graph("Reshape", average(graph), [-1, len(classes), widest])
    chosen = graph("ArgMax", apart, axis=2, keepdims=0)
    places = graph("Add", chosen, np.arange(len(classes)) * widest)
    graph.answer(0, graph("Gather", padded, places, axis=0))
    graph.answer(1, graph("Transpose", apart, perm=[1, 0, 2]))


def write_values(graph: Graph) -> None:
    """The mean of what the trees estimate."""
    graph.answer(0, average(graph))
