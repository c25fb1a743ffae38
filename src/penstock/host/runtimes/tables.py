"""Rows as an estimator expects them: a table with names, a matrix, or a list of texts."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penstock.errors import MissingDependency, UnsupportedArtifact
from penstock.host.model import Column
from penstock.model.signature import Field, Output, Signature

Arrange = Callable[[Sequence[Column]], Any]

MATRIX = "rows"  # the tensor in which `Signature.tensors` joins scalars of one dtype


def arranger(inputs: tuple[Field, ...], frame: bool, blank: float | None = np.nan) -> Arrange:
    """What turns a batch's tensors into the argument of `predict`.

    `frame`: the model was fitted with names. `blank`: what a missing text is to it, NaN or None.

    Raises MissingDependency where a table is needed and there is no pandas, UnsupportedArtifact for several tensors.
    """
    tensors = Signature(inputs=inputs, output=Output(fields=())).tensors()
    if frame:
        return _frame(inputs, one_matrix=tensors[0].name == MATRIX, blank=blank)
    if len(tensors) == 1 and inputs[0].dtype != "string":
        return lambda columns: columns[0]
    if len(inputs) == 1:
        return lambda columns: _texts(columns[0], blank)
    if any(field.shape for field in inputs):
        raise UnsupportedArtifact(
            "an estimator takes one table or one tensor: declare one input with a shape, or scalars"
        )
    return _matrix(inputs, blank)


def _matrix(inputs: Sequence[Field], blank: float | None) -> Arrange:
    if any(field.dtype == "string" for field in inputs):
        return lambda columns: np.array([_texts(column, blank) for column in columns], dtype=object).T
    return lambda columns: np.stack([np.asarray(column) for column in columns], axis=1)


def _frame(inputs: Sequence[Field], one_matrix: bool, blank: float | None) -> Arrange:
    try:
        import pandas as pd
    except ImportError:
        raise MissingDependency("the model was trained on a table with named columns: pip install pandas") from None
    names = pd.Index([field.name for field in inputs])
    if one_matrix:
        return lambda columns: pd.DataFrame(columns[0], columns=names, copy=False)
    # As a table read from a file has its texts: of a type of their own since pandas 3, which knows only NaN.
    kind: Any = object if blank is None or int(pd.__version__.split(".")[0]) < 3 else "str"
    return lambda columns: pd.DataFrame(
        {
            name: pd.Series(_texts(column, blank), dtype=kind) if isinstance(column, list) else column
            for name, column in zip(names, columns, strict=True)
        }
    )


def _texts(column: Column, blank: float | None) -> Any:
    if isinstance(column, list) and blank is not None and None in column:
        return [blank if text is None else text for text in column]
    return column
