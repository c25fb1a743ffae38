"""Encoders whose numbers are whole or learnt, and come out in single precision: widened, they are in double.

What they put out is exact in either; what is computed of it need not be. And columns that stay in single precision
beside others in double are more than skl2onnx can tell apart.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import numpy as np
from skl2onnx.common._registration import get_converter, get_shape_calculator
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

from penstock.compile.graph import Graph
from penstock.compile.registration import replace
from penstock.host.runtimes.compiled import GAP

ENCODERS = ("SklearnCountVectorizer", "SklearnOneHotEncoder", "SklearnOrdinalEncoder", "SklearnTfidfVectorizer")
_widens: ContextVar[bool] = ContextVar("widens", default=False)


@contextmanager
def widening(double: bool) -> Iterator[None]:
    """Within, encoders come out in double precision, if `double`."""
    token = _widens.set(double)
    try:
        yield
    finally:
        _widens.reset(token)


def register() -> None:
    """Puts a cast behind skl2onnx's converters."""
    for operator in ENCODERS:
        _replace(operator)


class _Aside:
    """An operator that puts out something else, and that knows a category that is missing by what stands for it."""

    def __init__(self, operator: Any, output: Any) -> None:
        self._operator = operator
        self.raw_operator = _with_gaps(operator.raw_operator)
        self.outputs = [output]
        self.output_full_names = [output.full_name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operator, name)


def _with_gaps(estimator: Any) -> Any:
    """One-hot: the text that stands for a missing one is a category like the others."""
    if not hasattr(estimator, "drop_idx_") or not any(values.dtype == object for values in estimator.categories_):
        return estimator
    encoder = copy.copy(estimator)
    encoder.categories_ = [_filled(values) if values.dtype == object else values for values in estimator.categories_]
    return encoder


def _filled(values: Any) -> Any:
    return np.array([value if isinstance(value, str) else GAP for value in values.tolist()], dtype=object)


def _replace(operator: str) -> None:
    theirs, their_shapes = get_converter(operator), get_shape_calculator(operator)

    def announce(operator: Any) -> None:
        their_shapes(operator)
        output = operator.outputs[0]
        if _widens.get():
            output.set_type(DoubleTensorType(output.type.shape))

    def write(graph: Graph) -> None:
        if not _widens.get():
            theirs(graph.scope, graph.operator, graph.container)
            return
        narrow = SimpleNamespace(type=FloatTensorType())
        narrow.full_name = narrow.onnx_name = graph.scope.get_unique_variable_name("narrow")
        theirs(graph.scope, _Aside(graph.operator, narrow), graph.container)
        graph.answer(0, narrow.full_name)

    replace(operator, announce, write, np.float32)
