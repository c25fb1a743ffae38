"""Imputers, of numbers in the precision of their input, and of texts."""

from typing import Any

import numpy as np
from skl2onnx.common.data_types import StringTensorType

from penstock.compile.announcement import announce_columns
from penstock.compile.graph import Graph
from penstock.compile.registration import replace
from penstock.host.runtimes.compiled import GAP


def register() -> None:
    """In the place of skl2onnx's, which fills no texts."""
    replace("SklearnSimpleImputer", announce, write)


def announce(operator: Any) -> None:
    """The columns, filled, and behind them the marks of some."""
    imputer = operator.raw_operator
    width = len(imputer.statistics_) + (len(imputer.indicator_.features_) if imputer.add_indicator else 0)
    if _takes_texts(operator):
        operator.outputs[0].set_type(StringTensorType([operator.inputs[0].get_first_dimension(), width]))
    else:
        announce_columns(operator, width)


def write(graph: Graph) -> None:
    """What stands for a missing value is found, and filled."""
    graph.answer(0, _filled_texts(graph) if _takes_texts(graph.operator) else _filled_numbers(graph))


def _takes_texts(operator: Any) -> bool:
    return any(isinstance(variable.type, StringTensorType) for variable in operator.inputs)


def _filled_texts(graph: Graph) -> str:
    imputer = graph.model
    if imputer.add_indicator or not all(isinstance(fill, str) for fill in imputer.statistics_):
        raise NotImplementedError("marks of missing texts")
    columns = [variable.full_name for variable in graph.operator.inputs]
    rows = columns[0] if len(columns) == 1 else graph("Concat", *columns, axis=1)
    mark = imputer.missing_values if isinstance(imputer.missing_values, str) else GAP
    missing = graph("Equal", rows, np.array([mark], object))
    return graph("Where", missing, imputer.statistics_.astype(object), rows)


def _filled_numbers(graph: Graph) -> str:
    imputer = graph.model
    fills = np.asarray(imputer.statistics_, np.float64)
    if np.isnan(fills).any():
        raise NotImplementedError("a column without any value")
    rows = graph.features()
    mark = imputer.missing_values
    is_nan = isinstance(mark, float) and np.isnan(mark)
    missing = graph("IsNaN", rows) if is_nan else graph("Equal", rows, float(mark))
    filled = graph("Where", missing, fills, rows)
    if not imputer.add_indicator:
        return filled
    marks = graph.cast(graph("Gather", missing, imputer.indicator_.features_.astype(np.int64), axis=1))
    return graph("Concat", filled, marks, axis=1)
