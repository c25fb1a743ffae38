"""Rows that were packed for one version, as another wants them: the same fields in other dtypes or tensors."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from penstock.inference.rows import Column, Rows
from penstock.model.signature import Signature, Tensor

Array = NDArray[Any]


class Translation:
    """From one signature to another that takes the same fields, of which the shapes vary there if they do here."""

    def __init__(self, ours: Signature, theirs: Signature) -> None:
        self._ours, self._theirs = ours.tensors(), theirs.tensors()
        self._varies = any(None in tensor.shape for tensor in self._theirs)
        self._is_needed = [(t.dtype, t.shape) for t in self._ours] != [(t.dtype, t.shape) for t in self._theirs]

    def of(self, rows: Rows) -> Rows:
        """The same rows; their values are what numpy makes of them in the other dtype."""
        if not self._is_needed:
            return rows
        fields = _by_field(self._ours, rows)
        columns = [_column(tensor, [fields[field.name] for field in tensor.fields]) for tensor in self._theirs]
        shapes = tuple([rows.shape(i, tensor) for i, tensor in enumerate(self._ours)]) if self._varies else None
        return Rows(rows.count, columns, shapes)


def _by_field(tensors: Sequence[Tensor], rows: Rows) -> dict[str, Array | list[Any]]:
    """The values of each field: an array with one entry a row, or a list of text."""
    fields: dict[str, Array | list[Any]] = {}
    for i, tensor in enumerate(tensors):
        column = rows.columns[i]
        if isinstance(column, list):
            fields[tensor.fields[0].name] = column
        elif len(tensor.fields) > 1:
            matrix = np.frombuffer(column, tensor.dtype).reshape(rows.count, len(tensor.fields))
            fields |= {field.name: matrix[:, at] for at, field in enumerate(tensor.fields)}
        else:
            fields[tensor.fields[0].name] = np.frombuffer(column, tensor.dtype).reshape(rows.count, -1)
    return fields


def _column(tensor: Tensor, values: Sequence[Array | list[Any]]) -> Column:
    first = values[0]
    if isinstance(first, list):
        return first
    with np.errstate(all="ignore"):
        parts = [np.asarray(value).reshape(len(first), -1).astype(tensor.dtype, copy=False) for value in values]
    return np.concatenate(parts, axis=1).tobytes()
