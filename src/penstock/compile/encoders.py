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
from skl2onnx.common import data_types
from skl2onnx.common._registration import (
    get_converter,
    get_shape_calculator,
    register_converter,
    register_shape_calculator,
)

from penstock.compile.writing import DOUBLE
from penstock.host.runtimes.compiled import GAP

ALIASES = (
    "SklearnCountVectorizer",
    "SklearnOneHotEncoder",
    "SklearnOrdinalEncoder",
    "SklearnTfidfVectorizer",
)
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
    for alias in ALIASES:
        _register(alias)


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


def _register(alias: str) -> None:
    theirs, their_shapes = get_converter(alias), get_shape_calculator(alias)

    def shapes(operator: Any) -> None:
        their_shapes(operator)
        output = operator.outputs[0]
        if _widens.get() and not isinstance(output.type, data_types.DoubleTensorType):
            output.type = data_types.DoubleTensorType(output.type.shape)

    def convert(scope: Any, operator: Any, container: Any) -> None:
        if not _widens.get():
            theirs(scope, operator, container)
            return
        narrow = SimpleNamespace(type=data_types.FloatTensorType())
        narrow.full_name = narrow.onnx_name = scope.get_unique_variable_name("narrow")
        theirs(scope, _Aside(operator, narrow), container)
        container.add_node("Cast", narrow.full_name, operator.outputs[0].full_name, to=DOUBLE)

    register_converter(alias, convert, overwrite=True, options=theirs.get_allowed_options())
    register_shape_calculator(alias, shapes, overwrite=True)
