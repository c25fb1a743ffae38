"""Linear classifiers as a product, a sum and what their probabilities are made by: exact in double precision.

skl2onnx's own are right for some types of input and some solvers, and compute others in single precision.
"""

from typing import Any

import numpy as np
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes

from penstock.compile.announcement import matrix
from penstock.compile.graph import Graph
from penstock.compile.registration import SCORED, replace
from penstock.compile.unwrapping import EACH_BY_ITSELF

SMALLEST = 5e-324  # of the numbers above zero
POSITIVE_ALONE = "SklearnLinearSVC"  # of two classes, skl2onnx expects of these only the score of the second


def register() -> None:
    """Whatever has coefficients and classes."""
    for operator in ("SklearnLinearClassifier", "SklearnSGDClassifier", POSITIVE_ALONE):
        replace(operator, announce, write_classes, options=SCORED)


def announce(operator: Any) -> None:
    """A label and its probabilities or scores."""
    calculate_linear_classifier_output_shapes(operator)
    operator.outputs[1].type = matrix(operator, operator.outputs[1].type.shape)


def write_classes(graph: Graph) -> None:
    """Labels, and beside them probabilities, or scores where there are none or these are asked for."""
    model = graph.model
    if "multilabel" in getattr(getattr(model, "_label_binarizer", None), "y_type_", ""):
        raise NotImplementedError("several labels at a time")
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64))
    intercepts = np.broadcast_to(np.asarray(model.intercept_, np.float64), len(coefficients))
    positive = graph("Gemm", graph.features(), coefficients.T, intercepts)
    binary = len(coefficients) == 1
    scores = graph("Concat", graph("Neg", positive), positive, axis=1) if binary else positive
    graph.labels(graph("ArgMax", scores, axis=1, keepdims=0))
    raw = graph.option("raw_scores")
    if _states(model) and not raw:
        graph.answer(1, _probabilities(graph, positive, binary))
    else:
        graph.answer(1, positive if binary and graph.operator.type == POSITIVE_ALONE and not raw else scores)


def _states(model: Any) -> bool:
    return hasattr(model, "predict_proba") or getattr(model, "loss", None) == EACH_BY_ITSELF


def _probabilities(graph: Graph, scores: str, binary: bool) -> str:
    loss = getattr(graph.model, "loss", None)
    if loss == "modified_huber":
        each = graph("Div", graph("Add", graph("Clip", scores, -1.0, 1.0), 1.0), 2.0)
        return _of_two(graph, each) if binary else _of_several(graph, each)
    if binary:
        return _of_two(graph, graph("Sigmoid", scores))
    if loss == EACH_BY_ITSELF:  # and where none is likely, none is
        each = _sigmoid(graph, scores)
        return graph("Div", each, graph("Max", _sum(graph, each), SMALLEST))
    if loss == "log_loss" or getattr(graph.model, "multi_class", None) == "ovr":
        return _of_several(graph, _sigmoid(graph, scores))
    return graph("Softmax", scores, axis=1)


def _sigmoid(graph: Graph, scores: str) -> str:
    """Written out: ONNX Runtime's own is zero sooner than scipy's, and several classes are divided by their sum."""
    return graph("Div", 1.0, graph("Add", 1.0, graph("Exp", graph("Neg", scores))))


def _of_two(graph: Graph, positive: str) -> str:
    return graph("Concat", graph("Sub", 1.0, positive), positive, axis=1)


def _of_several(graph: Graph, each: str) -> str:
    """Each class's own probability, divided by their sum; all the same where that is zero."""
    each = graph("Where", graph("Equal", _sum(graph, each), 0.0), 1.0, each)
    return graph("Div", each, _sum(graph, each))


def _sum(graph: Graph, each: str) -> str:
    return graph("ReduceSum", each, [1], keepdims=1)
