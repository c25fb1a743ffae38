"""tf-idf weights in double precision, and the words of a text as scikit-learn's usual pattern has them."""

from typing import Any

import numpy as np
from skl2onnx.common._registration import get_shape_calculator

from penstock.compile.announcement import announce_as_many
from penstock.compile.graph import Graph
from penstock.compile.registration import replace

USUAL = r"(?u)\b\w\w+\b"
SAME = r"[\p{L}\p{N}_]{2,}"  # the same for ONNX Runtime, whose \w is that of ASCII
TRANSFORMER, VECTORIZER = "SklearnTfidfTransformer", "SklearnTfidfVectorizer"


def options(vectorizer: Any) -> dict[str, Any]:
    """What skl2onnx is to be told of a vectoriser that splits texts into words."""
    told = {"locale": "C"}
    return told | {"tokenexp": SAME} if vectorizer.analyzer == "word" and vectorizer.token_pattern == USUAL else told


def register() -> None:
    """In the places of skl2onnx's: that weighs in single precision, and logarithms otherwise."""
    replace(TRANSFORMER, announce_as_many, _weigh)
    replace(VECTORIZER, get_shape_calculator(VECTORIZER), _count_and_weigh)


def _count_and_weigh(graph: Graph) -> None:
    """As skl2onnx does it: two operators that are the same estimator."""
    scope, vectorizer, kind = graph.scope, graph.model, type(graph.operator.outputs[0].type)
    counts = scope.declare_local_variable("counts", kind([None, len(vectorizer.vocabulary_)]))
    counter = scope.declare_local_operator("SklearnCountVectorizer", vectorizer)
    counter.inputs = graph.operator.inputs
    counter.outputs.append(counts)
    weights = scope.declare_local_variable("weights", kind())
    weigher = scope.declare_local_operator(TRANSFORMER, vectorizer)
    weigher.inputs.append(counts)
    weigher.outputs.append(weights)
    graph.answer(0, weights.full_name)


def _weigh(graph: Graph) -> None:
    estimator, weights = graph.model, graph.features()
    if estimator.sublinear_tf:
        some = graph("Greater", weights, 0.0)
        logarithms = graph("Add", graph("Log", graph("Where", some, weights, 1.0)), 1.0)
        weights = graph("Where", some, logarithms, weights)
    if estimator.use_idf:
        weights = graph("Mul", weights, np.asarray(estimator.idf_, np.float64))
    if estimator.norm is not None:
        weights = graph("Div", weights, _length(graph, weights, estimator.norm))
    graph.answer(0, weights)


def _length(graph: Graph, weights: str, norm: str) -> str:
    """By what each row is divided; 1 for one without a word, as nothing divided by nothing is nothing."""
    if norm == "l2":
        length = graph("Sqrt", graph("ReduceSum", graph("Mul", weights, weights), [1], keepdims=1))
    else:
        length = graph("ReduceSum", graph("Abs", weights), [1], keepdims=1)
    return graph("Where", graph("Equal", length, 0.0), 1.0, length)
