"""Rows of the host's own: plausible ones to warm a model up with, and those of golden examples."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from penstock.errors import FailedExample
from penstock.host.model import Column
from penstock.model.signature import Field, Tensor

Row = Sequence[Any]
"""One value for each field: a number, a text, None, or nested lists for a field with a shape."""


def plausible(inputs: Sequence[Field], typical: Sequence[float] | None) -> Iterator[list[Any]]:
    """Rows that a model may well have seen: some reject zeros, and some anything but zeros."""
    if typical is not None:
        yield list(typical)
    for number in (0.0, 1.0, 0.5):
        yield [_value(field, number) for field in inputs]


def batch(layout: Sequence[Tensor], inputs: Sequence[Field], rows: Sequence[Row]) -> list[Column]:
    """The rows as the signature's tensors. Raises ValueError or TypeError for values that do not fit."""
    position = {field.name: i for i, field in enumerate(inputs)}
    return [
        _column(tensor, [[row[position[field.name]] for field in tensor.fields] for row in rows]) for tensor in layout
    ]


def row_of(features: Any, inputs: Sequence[Field]) -> Row:
    """An example's features, a list or an object, in the order of the fields. Raises FailedExample."""
    if isinstance(features, Mapping):
        unknown = sorted(map(str, features.keys() - {field.name for field in inputs}))
        missing = [field.name for field in inputs if field.name not in features and not field.nullable]
        if unknown or missing:
            raise FailedExample(f"its features lack {missing[:5]} and have the unknown {unknown[:5]}")
        return [features.get(field.name) for field in inputs]
    if isinstance(features, str) and len(inputs) == 1:
        return [features]
    if not isinstance(features, list) or len(features) != len(inputs):
        count = len(features) if isinstance(features, list) else "no list of"
        raise FailedExample(f"it has {count} features where the model takes {len(inputs)}")
    return features


def _value(field: Field, number: float) -> Any:
    shape = [1 if length is None else length for length in field.shape]
    value: Any = number
    if field.categories:
        value = field.categories[0]
    elif field.dtype == "string":
        value = ""
    elif field.range is not None:
        value = min(max(number, field.range[0]), field.range[1])
    return np.full(shape, value, dtype=object).tolist() if shape else value


def _column(tensor: Tensor, values: list[list[Any]]) -> Column:
    """The column of a tensor out of the values, rows first, of the fields that it carries."""
    if tensor.dtype == "string":
        texts = [row[0] for row in values]
        return np.array(texts, dtype=object) if tensor.shape else texts
    if len(tensor.fields) == 1 and tensor.name == tensor.fields[0].name:
        values = [row[0] for row in values]
    if "f" in np.dtype(tensor.dtype).kind:
        values = _with_nan(values)
    return np.array(values, dtype=tensor.dtype)


def _with_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_nan(each) for each in value]
    return np.nan if value is None else value
