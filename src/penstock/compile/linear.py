"""Linear classifiers as a product, a sum and what their probabilities are made by: exact in double precision.

skl2onnx's own are right for some types of input and some solvers, and compute others in single precision.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from skl2onnx.common._registration import register_converter, register_shape_calculator
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.common.utils_classifier import get_label_classes

from penstock.compile.unwrapping import EACH_BY_ITSELF
from penstock.compile.writing import Nodes, numbers

OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}
SMALLEST = 5e-324  # of the numbers above zero
POSITIVE_ALONE = "SklearnLinearSVC"  # of two classes, skl2onnx expects of these only the score of the second


def register() -> None:
    """Takes the places of skl2onnx's converters."""
    for alias in ("SklearnLinearClassifier", "SklearnSGDClassifier", POSITIVE_ALONE):
        register_converter(alias, convert, overwrite=True, options=OPTIONS)
        register_shape_calculator(alias, shapes, overwrite=True)


def shapes(operator: Any) -> None:
    calculate_linear_classifier_output_shapes(operator)
    operator.outputs[1].type = numbers(operator, operator.outputs[1].type.shape)


def convert(scope: Any, operator: Any, container: Any) -> None:
    """Labels, and beside them probabilities, or scores where there are none or these are asked for."""
    model = operator.raw_operator
    if "multilabel" in getattr(getattr(model, "_label_binarizer", None), "y_type_", ""):
        raise NotImplementedError("several labels at a time")
    nodes = Nodes(scope, operator, container)
    coefficients = np.atleast_2d(np.asarray(model.coef_, np.float64))
    intercepts = np.broadcast_to(np.asarray(model.intercept_, np.float64), len(coefficients))
    product = nodes.add("MatMul", nodes.input(), nodes.constant(coefficients.T))
    positive = nodes.add("Add", product, nodes.constant(intercepts))
    binary = len(coefficients) == 1
    scores = nodes.add("Concat", nodes.add("Neg", positive), positive, axis=1) if binary else positive
    classes = _classes(np.asarray(get_label_classes(scope, model)))
    nodes.add("Gather", nodes.constant(classes), nodes.add("ArgMax", scores, axis=1, keepdims=0), into=nodes.outputs[0])
    raw = container.get_options(model, {"raw_scores": False})["raw_scores"]
    stated = None if raw or not _states(model) else _probabilities(nodes, model, positive, binary)
    if stated is None:
        stated = positive if binary and operator.type == POSITIVE_ALONE and not raw else scores
    nodes.add("Identity", stated, into=nodes.outputs[1])


def _classes(classes: NDArray[Any]) -> NDArray[Any]:
    """The labels as a graph can hold them. Raises NotImplementedError for numbers that are not whole."""
    if classes.dtype.kind in "OU":
        return classes.astype(str)
    if (classes != classes.astype(np.int64)).any():
        raise NotImplementedError("labels that are no whole numbers")
    return classes.astype(np.int64)


def _states(model: Any) -> bool:
    return hasattr(model, "predict_proba") or getattr(model, "loss", None) == EACH_BY_ITSELF


def _probabilities(nodes: Nodes, model: Any, scores: str, binary: bool) -> str:
    loss = getattr(model, "loss", None)
    if loss == "modified_huber":
        clipped = nodes.add("Clip", scores, nodes.constant(np.array(-1.0)), nodes.constant(np.array(1.0)))
        each = nodes.add("Div", nodes.add("Add", clipped, nodes.constant([1.0])), nodes.constant([2.0]))
        return _of_two(nodes, each) if binary else _of_several(nodes, each)
    if binary:
        return _of_two(nodes, nodes.add("Sigmoid", scores))
    if loss == EACH_BY_ITSELF:  # and where none is likely, none is
        each = _sigmoid(nodes, scores)
        return nodes.add("Div", each, nodes.add("Max", _sum(nodes, each), nodes.constant([SMALLEST])))
    if loss == "log_loss" or getattr(model, "multi_class", None) == "ovr":
        return _of_several(nodes, _sigmoid(nodes, scores))
    return nodes.add("Softmax", scores, axis=1)


def _sigmoid(nodes: Nodes, scores: str) -> str:
    """That of ONNX Runtime is zero far below zero, and those of several classes are divided by their sum."""
    less = nodes.add("Exp", nodes.add("Neg", nodes.add("Abs", scores)))
    upper = nodes.add("Where", nodes.add("Less", scores, nodes.constant([0.0])), less, nodes.constant([1.0]))
    return nodes.add("Div", upper, nodes.add("Add", less, nodes.constant([1.0])))


def _of_two(nodes: Nodes, positive: str) -> str:
    return nodes.add("Concat", nodes.add("Sub", nodes.constant([1.0]), positive), positive, axis=1)


def _of_several(nodes: Nodes, each: str) -> str:
    """Each class's own probability, divided by their sum; all the same where that is zero."""
    none = nodes.add("Equal", _sum(nodes, each), nodes.constant([0.0]))
    each = nodes.add("Where", none, nodes.constant([1.0]), each)
    return nodes.add("Div", each, _sum(nodes, each))


def _sum(nodes: Nodes, each: str) -> str:
    return nodes.add("ReduceSum", each, nodes.constant([1]), keepdims=1)
