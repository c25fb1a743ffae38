"""tf-idf weights in double precision, and the words of a text as scikit-learn's usual pattern has them."""

from typing import Any

import numpy as np
from skl2onnx.common._registration import register_converter, register_shape_calculator

from penstock.compile.writing import Nodes, numbers

USUAL = r"(?u)\b\w\w+\b"
SAME = r"[\p{L}\p{N}_]{2,}"  # the same for ONNX Runtime, whose \w is that of ASCII
OPTIONS = {
    "tokenexp": None,
    "separators": None,
    "nan": [True, False],
    "keep_empty_string": [True, False],
    "locale": None,
}
TRANSFORMER, VECTORIZER = "SklearnTfidfTransformer", "SklearnTfidfVectorizer"


def options(vectorizer: Any) -> dict[str, Any]:
    """What skl2onnx is to be told of a vectoriser that splits texts into words."""
    told = {"locale": "C"}
    return told | {"tokenexp": SAME} if vectorizer.analyzer == "word" and vectorizer.token_pattern == USUAL else told


def register() -> None:
    """Takes the places of skl2onnx's converters: that weighs in single precision, and logarithms otherwise."""
    register_converter(TRANSFORMER, _weigh, overwrite=True, options={"nan": [True, False]})
    register_shape_calculator(TRANSFORMER, _shapes, overwrite=True)
    register_converter(VECTORIZER, _count_and_weigh, overwrite=True, options=OPTIONS)


def _shapes(operator: Any) -> None:
    operator.outputs[0].type = numbers(operator, operator.inputs[0].type.shape)


def _count_and_weigh(scope: Any, operator: Any, container: Any) -> None:
    """As skl2onnx does it: two operators that are the same estimator."""
    vectorizer = operator.raw_operator
    kind = type(operator.outputs[0].type)
    counts = scope.declare_local_variable("counts", kind([None, len(vectorizer.vocabulary_)]))
    counter = scope.declare_local_operator("SklearnCountVectorizer", vectorizer)
    counter.inputs = operator.inputs
    counter.outputs.append(counts)
    weigher = scope.declare_local_operator(TRANSFORMER, vectorizer)
    weigher.inputs.append(counts)
    weights = scope.declare_local_variable("weights", kind())
    weigher.outputs.append(weights)
    container.add_node("Identity", weights.full_name, operator.outputs[0].full_name)


def _weigh(scope: Any, operator: Any, container: Any) -> None:
    estimator = operator.raw_operator
    nodes = Nodes(scope, operator, container)
    weights = nodes.input()
    if estimator.sublinear_tf:
        some = nodes.add("Greater", weights, nodes.constant([0.0]))
        at_least_one = nodes.add("Where", some, weights, nodes.constant([1.0]))
        logarithms = nodes.add("Add", nodes.add("Log", at_least_one), nodes.constant([1.0]))
        weights = nodes.add("Where", some, logarithms, weights)
    if estimator.use_idf:
        weights = nodes.add("Mul", weights, nodes.constant(np.asarray(estimator.idf_, np.float64)))
    if estimator.norm is not None:
        weights = nodes.add("Div", weights, _length(nodes, weights, estimator.norm))
    nodes.add("Identity", weights, into=nodes.outputs[0])


def _length(nodes: Nodes, weights: str, norm: str) -> str:
    """By what each row is divided; 1 for one without a word, as nothing divided by nothing is nothing."""
    rows = nodes.constant([1])
    if norm == "l2":
        length = nodes.add("Sqrt", nodes.add("ReduceSum", nodes.add("Mul", weights, weights), rows, keepdims=1))
    else:
        length = nodes.add("ReduceSum", nodes.add("Abs", weights), rows, keepdims=1)
    return nodes.add("Where", nodes.add("Equal", length, nodes.constant([0.0])), nodes.constant([1.0]), length)
