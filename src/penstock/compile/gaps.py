"""Imputers of numbers in the precision of their input; ONNX has an operator for single precision alone."""

from typing import Any

import numpy as np
from skl2onnx.common import data_types
from skl2onnx.common._registration import (
    get_converter,
    get_shape_calculator,
    register_converter,
    register_shape_calculator,
)

from penstock.compile.nodes import Nodes, numbers

ALIAS = "SklearnSimpleImputer"


def register() -> None:
    """Takes the place of skl2onnx's converter, which still has the texts."""
    theirs, their_shapes = get_converter(ALIAS), get_shape_calculator(ALIAS)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        (theirs if _texts(operator) else _convert)(scope, operator, container)

    def shapes(operator: Any) -> None:
        (their_shapes if _texts(operator) else _shapes)(operator)

    register_converter(ALIAS, convert, overwrite=True)
    register_shape_calculator(ALIAS, shapes, overwrite=True)


def _texts(operator: Any) -> bool:
    return any(isinstance(variable.type, data_types.StringTensorType) for variable in operator.inputs)


def _shapes(operator: Any) -> None:
    imputer = operator.raw_operator
    marks = len(imputer.indicator_.features_) if imputer.add_indicator else 0
    width = len(imputer.statistics_) + marks
    operator.outputs[0].type = numbers(operator, [operator.inputs[0].get_first_dimension(), width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    imputer = operator.raw_operator
    fills = np.asarray(imputer.statistics_, np.float64)
    if np.isnan(fills).any():
        raise NotImplementedError("a column without any value")
    nodes = Nodes(scope, operator, container)
    rows = nodes.input()
    missing = _missing(nodes, rows, imputer.missing_values)
    filled = nodes.add("Where", missing, nodes.constant(fills), rows)
    if imputer.add_indicator:
        chosen = nodes.constant(np.asarray(imputer.indicator_.features_, np.int64))
        marks = nodes.add("Cast", nodes.add("Gather", missing, chosen, axis=1), to=nodes.number)
        filled = nodes.add("Concat", filled, marks, axis=1)
    nodes.add("Identity", filled, into=nodes.outputs[0])


def _missing(nodes: Nodes, rows: str, mark: Any) -> str:
    if isinstance(mark, float) and np.isnan(mark):
        return nodes.add("IsNaN", rows)
    return nodes.add("Equal", rows, nodes.constant([float(mark)]))
