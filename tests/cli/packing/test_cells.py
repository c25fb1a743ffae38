"""Cells become values of the field's dtype, or nothing where they are missing, and are never guessed at."""

from typing import Any

import pytest

from penstock.cli.packing.cells import reader
from penstock.model.signature import DType, Field
from penstock.values import Unfit


def read(dtype: DType, text: str) -> Any:
    return reader(Field(name="x", dtype=dtype))(text)


@pytest.mark.parametrize(
    ("dtype", "text", "value"),
    [
        ("float64", " 5.1 ", 5.1),
        ("float32", "1e5", 1e5),
        ("float64", "nan", None),
        ("float64", "NA", None),
        ("float64", "", None),
        ("float64", "True", 1.0),
        ("float64", "False", 0.0),
        ("int64", "True", 1),
        ("int64", "-3", -3),
        ("int64", "3.0", 3),
        ("int64", "9007199254740993", 2**53 + 1),
        ("uint8", "255", 255),
        ("bool", "True", True),
        ("bool", "0", False),
        ("bool", "", None),
        ("string", "NA", "NA"),
        ("string", " Bern", " Bern"),
        ("string", "", None),
    ],
)
def test_a_cell_is_read_as_its_field_says(dtype: DType, text: str, value: Any) -> None:
    found = read(dtype, text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("dtype", "text", "complaint"),
    [
        ("float64", "5,1", "expected a number, got '5,1'"),
        ("float64", "1_000", "expected a number, got '1_000'"),
        ("float64", "inf", "expected a number, got 'inf'"),
        ("float64", "1e400", "expected a number, got '1e400'"),
        ("int8", "128", "expected a whole number from -128 to 127, got '128'"),
        ("uint16", "-1", "expected a whole number from 0 to 65535, got '-1'"),
        ("int64", "3.5", "expected a whole number from "),
        ("int64", "red", "expected a number, got 'red'"),
        ("float64", "true", "expected a number, got 'true'"),
        ("bool", "maybe", "expected true or false, got 'maybe'"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(dtype: DType, text: str, complaint: str) -> None:
    with pytest.raises(Unfit) as refused:
        read(dtype, text)
    assert str(refused.value).startswith(complaint)
