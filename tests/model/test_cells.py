"""Values from stores: read as strictly as a client's, but from text."""

from decimal import Decimal
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import RequestError
from penstock.interface.values import problems_of
from penstock.model.cells import fits, reader_of
from penstock.model.signature import DType, Field

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.integers(-(2**70), 2**70).map(float),
    st.sampled_from([2**53, -(2**53), 127, 128, 255, 256, 2**63, 2**64, 65504.0, 65520.0]),
)
VALUES = st.one_of(NUMBERS, st.booleans(), st.text(max_size=5))


@st.composite
def fields(draw: st.DrawFn) -> Field:
    dtype = draw(st.sampled_from(get_args(DType)))
    categories = {"string": ("a", "b"), "bool": (True,)}.get(dtype, (0, 1, 2, 127)) if draw(st.booleans()) else None
    unknown: Any = draw(st.sampled_from(["warn", "refuse"]))
    return Field(name="f", dtype=dtype, nullable=draw(st.booleans()), categories=categories, unknown=unknown)


def is_taken(field: Field, value: object) -> bool:
    """Whether a client may send this."""
    try:
        return not list(problems_of(field, value, ("f",)))
    except RequestError:
        return False


@given(fields(), VALUES)
def test_a_value_fits_that_a_client_may_send(field: Field, value: object) -> None:
    if value == value:  # NaN cannot be sent
        assert fits(field, value) == is_taken(field, value)


@given(fields(), VALUES)
def test_text_is_read_as_what_it_says(field: Field, value: object) -> None:
    text = value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    read = reader_of(field)
    if fits(field, value) and isinstance(value, str) == (field.dtype == "string"):
        assert read(text) == value
        assert read(text.encode()) == value


@pytest.mark.parametrize(
    ("dtype", "raw", "value"),
    [
        ("float64", "12.5", 12.5),
        ("float64", "-1e3", -1000.0),
        ("float64", ".5", 0.5),
        ("float64", Decimal("12.50"), 12.5),
        ("float64", np.float32(0.5), 0.5),
        ("int64", "9007199254740993", 2**53 + 1),
        ("int64", "3.0", 3),
        ("int64", np.int8(3), 3),
        ("uint8", b"255", 255),
        ("bool", "True", True),
        ("bool", "0", False),
        ("bool", np.bool_(True), True),
        ("string", b"Z\xc3\xbcrich", "Zürich"),
        ("string", "007", "007"),
    ],
)
def test_what_stores_hold_is_read(dtype: Any, raw: object, value: object) -> None:
    read = reader_of(Field(name="f", dtype=dtype))(raw)
    assert read == value
    assert type(read) in (str, int, float, bool)


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        ("float64", "nan"), ("float64", "inf"), ("float64", "1e400"), ("float64", "1_0"), ("float64", " 1"),
        ("float64", "0x10"), ("float64", ""), ("float64", "١"), ("float64", True), ("float64", "9" * 5000),
        ("float16", "65520"), ("int64", "1.5"), ("int64", "9223372036854775808"), ("int64", "1e300"), ("int8", 128),
        ("uint8", "-1"), ("bool", "yes"), ("bool", 1), ("string", 7), ("string", b"\xff"), ("string", "x" * 65_537),
        ("string", None), ("float64", object()), ("float64", [1.0]), ("float64", np.zeros(2)),
        ("int64", Decimal("NaN")),
    ],
)  # fmt: skip
def test_what_is_no_value_of_the_field_is_none(dtype: Any, raw: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        reader_of(Field(name="f", dtype=dtype))(raw)
