"""Columns made of columns, in double precision: powers and products, functions, bins, and a target's way back."""

from collections.abc import Callable
from typing import Any

import numpy as np
from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn
from skl2onnx.common._registration import register_converter, register_shape_calculator
from skl2onnx.common.data_types import guess_tensor_type
from sklearn.compose import TransformedTargetRegressor

from penstock.compile.writing import Nodes, numbers

Function = Callable[[Nodes, str], str]


def _one(nodes: Nodes) -> str:
    return nodes.constant([1.0])


FUNCTIONS: dict[Any, Function] = {
    None: lambda nodes, rows: nodes.add("Identity", rows),
    np.abs: lambda nodes, rows: nodes.add("Abs", rows),
    np.exp: lambda nodes, rows: nodes.add("Exp", rows),
    np.expm1: lambda nodes, rows: nodes.add("Sub", nodes.add("Exp", rows), _one(nodes)),
    np.log: lambda nodes, rows: nodes.add("Log", rows),
    np.log1p: lambda nodes, rows: nodes.add("Log", nodes.add("Add", rows, _one(nodes))),
    np.sqrt: lambda nodes, rows: nodes.add("Sqrt", rows),
    np.square: lambda nodes, rows: nodes.add("Mul", rows, rows),
}
"""Functions of numpy that there are nodes for."""


def register() -> None:
    """Takes the places of skl2onnx's converters, which know no functions and multiply in single precision."""
    own = {
        "SklearnFunctionTransformer": (_function_shapes, _apply),
        "SklearnKBinsDiscretizer": (_bin_shapes, _bin),
        "SklearnPolynomialFeatures": (_product_shapes, _multiply),
    }
    for alias, (shapes, convert) in own.items():
        register_converter(alias, convert, overwrite=True)
        register_shape_calculator(alias, shapes, overwrite=True)
    update_registered_converter(
        TransformedTargetRegressor, "PenstockTransformedTarget", _target_shapes, _take_back, parser=_parse
    )


def _known(function: Any) -> Function:
    if function not in FUNCTIONS:
        raise NotImplementedError(f"the function {getattr(function, '__name__', function)}")
    return FUNCTIONS[function]


def _function_shapes(operator: Any) -> None:
    _known(operator.raw_operator.func)
    widths = [variable.type.shape[1] for variable in operator.inputs]
    first = operator.inputs[0]
    if len(operator.inputs) == 1 and operator.raw_operator.func is None:  # texts, perhaps
        operator.outputs[0].type = type(first.type)([first.get_first_dimension(), widths[0]])
        return
    width = None if None in widths else sum(widths)
    operator.outputs[0].type = numbers(operator, [first.get_first_dimension(), width])


def _apply(scope: Any, operator: Any, container: Any) -> None:
    transformer = operator.raw_operator
    nodes = Nodes(scope, operator, container)
    if transformer.kw_args:
        raise NotImplementedError("a function with arguments")
    if transformer.func is None:
        rows = operator.inputs[0].full_name if len(operator.inputs) == 1 else nodes.input()
        nodes.add("Identity", rows, into=nodes.outputs[0])
        return
    made = _known(transformer.func)(nodes, nodes.input())
    # What is infinite is refused further on. In a graph that is for NaN to tell, which does not become a number again.
    nodes.add("Where", nodes.add("IsInf", made), nodes.constant([np.nan]), made, into=nodes.outputs[0])


def _product_shapes(operator: Any) -> None:
    width = operator.raw_operator.n_output_features_
    operator.outputs[0].type = numbers(operator, [operator.inputs[0].get_first_dimension(), width])


def _multiply(scope: Any, operator: Any, container: Any) -> None:
    """Each product by its factors, of which those that it lacks are columns of ones."""
    powers = np.asarray(operator.raw_operator.powers_)
    width = powers.shape[1]
    factors = [np.repeat(np.arange(width), row) for row in powers]
    nodes = Nodes(scope, operator, container)
    rows = nodes.input()
    first = nodes.add("Gather", rows, nodes.constant([0]), axis=1)
    ones = nodes.add("Where", nodes.add("Equal", first, first), _one(nodes), _one(nodes))
    padded = nodes.add("Concat", rows, ones, axis=1)
    product = None
    for i in range(max(1, int(powers.sum(axis=1).max()))):
        chosen = [int(each[i]) if i < len(each) else width for each in factors]
        factor = nodes.add("Gather", padded, nodes.constant(chosen), axis=1)
        product = factor if product is None else nodes.add("Mul", product, factor)
    nodes.add("Identity", product or padded, into=nodes.outputs[0])


def _bin_shapes(operator: Any) -> None:
    bins = operator.raw_operator
    width = len(bins.n_bins_) if bins.encode == "ordinal" else int(sum(bins.n_bins_))
    operator.outputs[0].type = numbers(operator, [operator.inputs[0].get_first_dimension(), width])


def _bin(scope: Any, operator: Any, container: Any) -> None:
    """The number of inner edges that are no larger than a value is its bin."""
    bins = operator.raw_operator
    most = int(max(bins.n_bins_))
    edges = np.full((len(bins.n_bins_), most), np.inf)
    for column, ends in enumerate(bins.bin_edges_):
        edges[column, : len(ends) - 2] = ends[1:-1]
    nodes = Nodes(scope, operator, container)
    deep = nodes.add("Unsqueeze", nodes.input(), nodes.constant([2]))
    beyond = nodes.add("Cast", nodes.add("GreaterOrEqual", deep, nodes.constant(edges)), to=nodes.number)
    if bins.encode == "ordinal":
        nodes.add("ReduceSum", beyond, nodes.constant([2]), keepdims=0, into=nodes.outputs[0])
        return
    place = nodes.add("ReduceSum", beyond, nodes.constant([2]), keepdims=1)
    marks = nodes.add("Cast", nodes.add("Equal", place, nodes.constant(np.arange(most, dtype=float))), to=nodes.number)
    flat = nodes.add("Reshape", marks, nodes.constant([-1, len(edges) * most]))
    there = [column * most + i for column, count in enumerate(bins.n_bins_) for i in range(int(count))]
    nodes.add("Gather", flat, nodes.constant(there), axis=1, into=nodes.outputs[0])


def _parse(scope: Any, model: Any, inputs: Any, custom_parsers: Any = None) -> Any:
    """The regressor inside, and behind it the way back from what it was trained on."""
    operator = scope.declare_local_operator("PenstockTransformedTarget", model)
    operator.inputs = _parse_sklearn(scope, model.regressor_, inputs, custom_parsers=custom_parsers)
    operator.outputs.append(scope.declare_local_variable("variable", guess_tensor_type(inputs[0].type)))
    return operator.outputs


def _target_shapes(operator: Any) -> None:
    operator.outputs[0].type = numbers(operator, operator.inputs[0].type.shape)


def _take_back(scope: Any, operator: Any, container: Any) -> None:
    transformer = operator.raw_operator.transformer_
    nodes = Nodes(scope, operator, container)
    values = nodes.input()
    if hasattr(transformer, "inverse_func"):
        values = _known(transformer.inverse_func)(nodes, values)
    elif hasattr(transformer, "with_mean") and hasattr(transformer, "with_std"):
        values = nodes.add("Mul", values, nodes.constant(np.asarray(transformer.scale_, np.float64)))
        values = nodes.add("Add", values, nodes.constant(np.asarray(transformer.mean_, np.float64)))
    else:
        raise NotImplementedError(f"the way back through {type(transformer).__name__}")
    nodes.add("Identity", values, into=nodes.outputs[0])
