"""What is odd about rows: found whatever their number and dtype, counted by field, and never where nothing is odd."""

import math
from typing import Any

import numpy as np
import pytest

from penstock.inference.checks import Findings, checks
from penstock.inference.rows import Rows
from penstock.model.signature import Field, Output, Signature


def signature(*fields: Field) -> Signature:
    return Signature(inputs=fields, output=Output(fields=()))


def found(fields: tuple[Field, ...], *rows: tuple[Any, ...]) -> Findings | None:
    """What the check of these fields says of the rows."""
    of = signature(*fields)
    columns: list[Any] = []
    for tensor in of.tensors():
        values = [[row[fields.index(field)] for field in tensor.fields] for row in rows]
        text = tensor.dtype == "string"
        columns.append([value for (value,) in values] if text else np.array(values, tensor.dtype).tobytes())
    return checks(of)(Rows(len(rows), columns))


SIZES = pytest.mark.parametrize("size", [1, 2, 100])
"""One row is looked at in another way than many."""


@SIZES
def test_what_is_out_of_range_is_counted_by_field(size: int) -> None:
    fields = (Field(name="a", range=(0, 1)), Field(name="b", range=(-5, 5)), Field(name="c"))
    assert found(fields, *[(0, 5, 1e300)] * size) is None
    assert found(fields, *[(0, -5, -1e300)] * (size - 1), (-0.1, 6, 0)) == Findings({}, {"a": 1, "b": 1}, {})


@SIZES
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_ends_of_a_range_are_those_that_the_fields_own_dtype_has(size: int, dtype: Any) -> None:
    """In float32 0.7 is less and 0.1 is more than in float64."""
    fields = (Field(name="a", dtype=dtype, range=(0.1, 0.7)), Field(name="b", dtype=dtype, categories=(0.1, 0.7)))
    assert found(fields, *[(0.1, 0.7), (0.7, 0.1)] * size) is None


@SIZES
def test_integers_have_ranges_and_categories(size: int) -> None:
    fields = (Field(name="a", dtype="int64", range=(1.5, 3)), Field(name="b", dtype="int64", categories=(2**60, 7)))
    assert found(fields, *[(2, 2**60)] * size) is None
    assert found(fields, *[(1, 2**60 + 1)] * size) == Findings({}, {"a": size}, {"b": size})


def test_a_category_that_the_dtype_cannot_hold_is_merely_never_seen() -> None:
    assert found((Field(name="a", dtype="uint8", categories=(1, 300)),), (1,), (2,)) == Findings({}, {}, {"a": 1})


@SIZES
def test_what_is_missing_is_neither_out_of_range_nor_unknown(size: int) -> None:
    fields = (Field(name="a", nullable=True, range=(0, 1)), Field(name="b", nullable=True, categories=(1.0, 2.0)))
    assert found(fields, *[(math.nan, math.nan)] * size) == Findings({"a": size, "b": size}, {}, {})


@SIZES
def test_texts_of_no_known_category_are_counted(size: int) -> None:
    fields = (Field(name="a", dtype="string", categories=("x", "y"), nullable=True),)
    assert found(fields, *[("x",)] * size) is None
    assert found(fields, *[("z",)] * size, (None,), ("y",)) == Findings({"a": 1}, {}, {"a": size})


@SIZES
def test_every_value_of_a_tensor_counts(size: int) -> None:
    of = checks(signature(Field(name="image", shape=(2, 2), range=(0, 1))))
    values = np.full((size, 2, 2), 0.5)
    assert of(Rows(size, [values.tobytes()])) is None
    values[-1] = 2
    assert of(Rows(size, [values.tobytes()])) == Findings({}, {"image": 4}, {})


def test_where_nothing_is_declared_nothing_is_looked_at() -> None:
    one, other = (checks(signature(Field(name="a"), Field(name="b", dtype="string"))) for _ in range(2))
    assert one is other
    assert one(Rows(1, [])) is None
