"""Imputers, of numbers in the precision of their input, and of texts."""

from typing import Any

import numpy as np
from skl2onnx.common import data_types
from skl2onnx.common._registration import (
    register_converter,
    register_shape_calculator,
)

from penstock.compile.writing import Nodes, numbers
from penstock.host.runtimes.compiled import GAP

ALIAS = "SklearnSimpleImputer"


def register() -> None:
    """Takes the place of skl2onnx's converter."""
    register_converter(ALIAS, _convert, overwrite=True)
    register_shape_calculator(ALIAS, _shapes, overwrite=True)


def _texts(operator: Any) -> bool:
    return any(isinstance(variable.type, data_types.StringTensorType) for variable in operator.inputs)


def _shapes(operator: Any) -> None:
    imputer = operator.raw_operator
    marks = len(imputer.indicator_.features_) if imputer.add_indicator else 0
    shape = [operator.inputs[0].get_first_dimension(), len(imputer.statistics_) + marks]
    operator.outputs[0].type = data_types.StringTensorType(shape) if _texts(operator) else numbers(operator, shape)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    (_fill_texts if _texts(operator) else _fill_numbers)(Nodes(scope, operator, container), operator)


def _fill_texts(nodes: Nodes, operator: Any) -> None:
    imputer = operator.raw_operator
    if imputer.add_indicator or not all(isinstance(fill, str) for fill in imputer.statistics_):
        raise NotImplementedError("marks of missing texts")
    columns = [variable.full_name for variable in operator.inputs]
    rows = columns[0] if len(columns) == 1 else nodes.add("Concat", *columns, axis=1)
    mark = imputer.missing_values if isinstance(imputer.missing_values, str) else GAP
    missing = nodes.add("Equal", rows, nodes.constant([mark]))
    nodes.add("Where", missing, nodes.constant(imputer.statistics_.astype(str)), rows, into=nodes.outputs[0])


def _fill_numbers(nodes: Nodes, operator: Any) -> None:
    imputer = operator.raw_operator
    fills = np.asarray(imputer.statistics_, np.float64)
    if np.isnan(fills).any():
        raise NotImplementedError("a column without any value")
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
