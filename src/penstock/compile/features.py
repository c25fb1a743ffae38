"""Columns made of columns, in double precision: powers and products, functions, bins, and a target's way back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from skl2onnx._parse import _parse_sklearn
from skl2onnx.common.data_types import guess_tensor_type
from sklearn.compose import TransformedTargetRegressor

from penstock.compile.announcement import announce_as_many, announce_columns
from penstock.compile.graph import Graph
from penstock.compile.registration import introduce, replace

Function = Callable[[Graph, str], str]

FUNCTIONS: dict[Any, Function] = {
    None: lambda graph, rows: rows,
    np.abs: lambda graph, rows: graph("Abs", rows),
    np.exp: lambda graph, rows: graph("Exp", rows),
    np.expm1: lambda graph, rows: graph("Sub", graph("Exp", rows), 1.0),
    np.log: lambda graph, rows: graph("Log", rows),
    np.log1p: lambda graph, rows: graph("Log", graph("Add", rows, 1.0)),
    np.sqrt: lambda graph, rows: graph("Sqrt", rows),
    np.square: lambda graph, rows: graph("Mul", rows, rows),
}
"""Functions of numpy that there are nodes for."""


def register() -> None:
    """In the places of skl2onnx's, which know no functions and multiply in single precision."""
    replace("SklearnFunctionTransformer", _announce_function, _write_function)
    replace("SklearnKBinsDiscretizer", _announce_bins, _write_bins)
    replace("SklearnPolynomialFeatures", _announce_products, _write_products)
    introduce(TransformedTargetRegressor, announce_as_many, _write_way_back, parser=_parse)


def _known(function: Any) -> Function:
    if function not in FUNCTIONS:
        raise NotImplementedError(f"the function {getattr(function, '__name__', function)}")
    return FUNCTIONS[function]


def _announce_function(operator: Any) -> None:
    _known(operator.raw_operator.func)
    types = [variable.type for variable in operator.inputs]
    if operator.raw_operator.func is None and len(types) == 1:  # texts, perhaps
        operator.outputs[0].set_type(type(types[0])([operator.inputs[0].get_first_dimension(), types[0].shape[1]]))
        return
    widths = [each.shape[1] for each in types]
    announce_columns(operator, None if None in widths else sum(widths))


def _write_function(graph: Graph) -> None:
    if graph.model.kw_args:
        raise NotImplementedError("a function with arguments")
    if graph.model.func is None:
        first, *others = graph.operator.inputs
        graph.answer(0, graph.features() if others else first.full_name)
        return
    made = _known(graph.model.func)(graph, graph.features())
    # What is infinite is refused further on. In a graph that is for NaN to tell, which does not become a number again.
    graph.answer(0, graph("Where", graph("IsInf", made), np.nan, made))


def _announce_products(operator: Any) -> None:
    announce_columns(operator, operator.raw_operator.n_output_features_)


def _write_products(graph: Graph) -> None:
    """Each product by its factors, of which those that it lacks are columns of ones."""
    powers = np.asarray(graph.model.powers_)
    width = powers.shape[1]
    factors = [np.repeat(np.arange(width), row) for row in powers]
    most = max(1, *map(len, factors))
    places = np.array([[*each, *[width] * (most - len(each))] for each in factors])
    rows = graph.features()
    first = graph("Gather", rows, [0], axis=1)
    ones = graph("Where", graph("Equal", first, first), 1.0, 1.0)
    padded = graph("Concat", rows, ones, axis=1)
    product, *others = (graph("Gather", padded, column, axis=1) for column in places.T)
    for factor in others:
        product = graph("Mul", product, factor)
    graph.answer(0, product)


def _announce_bins(operator: Any) -> None:
    bins = operator.raw_operator
    announce_columns(operator, len(bins.n_bins_) if bins.encode == "ordinal" else int(sum(bins.n_bins_)))


def _write_bins(graph: Graph) -> None:
    """The number of inner edges that are no larger than a value is its bin."""
    counts, most = graph.model.n_bins_, int(max(graph.model.n_bins_))
    edges = np.full((len(counts), most), np.inf)
    for column, ends in enumerate(graph.model.bin_edges_):
        edges[column, : len(ends) - 2] = ends[1:-1]
    beyond = graph.cast(graph("GreaterOrEqual", graph("Unsqueeze", graph.features(), [2]), edges))
    if graph.model.encode == "ordinal":
        graph.answer(0, graph("ReduceSum", beyond, [2], keepdims=0))
        return
    place = graph("ReduceSum", beyond, [2], keepdims=1)
    marks = graph.cast(graph("Equal", place, np.arange(most, dtype=float)))
    there = np.flatnonzero(np.arange(most) < np.reshape(counts, (-1, 1)))
    graph.answer(0, graph("Gather", graph("Reshape", marks, [-1, edges.size]), there, axis=1))


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """The regressor inside, and behind it the way back from what it was trained on."""
    operator = scope.declare_local_operator("PenstockTransformedTargetRegressor", model)
    operator.inputs = _parse_sklearn(scope, model.regressor_, inputs, custom_parsers=custom_parsers)
    operator.outputs.append(scope.declare_local_variable("variable", guess_tensor_type(inputs[0].type)))
    return operator.outputs


def _write_way_back(graph: Graph) -> None:
    transformer, values = graph.model.transformer_, graph.features()
    if hasattr(transformer, "inverse_func"):
        values = _known(transformer.inverse_func)(graph, values)
    elif hasattr(transformer, "with_mean") and hasattr(transformer, "with_std"):
        values = graph("Add", graph("Mul", values, transformer.scale_), transformer.mean_)
    else:
        raise NotImplementedError(f"the way back through {type(transformer).__name__}")
    graph.answer(0, values)
