"""Rows that were packed for one version reach another as if they had been decoded for it."""

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Limits
from penstock.inference.rows import Rows, join
from penstock.inference.translation import Translation
from penstock.interface.decoder import RowDecoder
from penstock.model.fitness import strangeness_of
from penstock.model.signature import DType, Field, Output, OutputField, Signature

FLOAT: list[DType] = ["float16", "float32", "float64"]
WHOLE: list[DType] = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]


def signature(*fields: Field) -> Signature:
    return Signature(inputs=fields, output=Output(fields=(OutputField(name="y"),)))


def decoded(sig: Signature, *rows: Any) -> Rows:
    return RowDecoder(sig, Limits()).batch(msgspec.json.encode({"batch": rows}))


def plain(rows: Rows) -> tuple[Any, ...]:
    return rows.count, [c if isinstance(c, list) else bytes(c) for c in rows.columns], rows.shapes


def test_a_matrix_in_another_dtype() -> None:
    ours = signature(Field(name="a"), Field(name="b"))
    theirs = signature(Field(name="a", dtype="float32"), Field(name="b", dtype="float32"))
    translated = Translation(ours, theirs).of(decoded(ours, [1, 0.1], [2.5, -3]))
    assert plain(translated) == (2, [struct.pack("<4f", 1, 0.1, 2.5, -3)], None)


def test_a_matrix_as_a_tensor_for_each_field() -> None:
    ours = signature(Field(name="a", dtype="int64"), Field(name="b", dtype="int64"))
    theirs = signature(Field(name="a", dtype="int16"), Field(name="b", dtype="int64", nullable=True))
    translated = Translation(ours, theirs).of(decoded(ours, [1, 2], [3, 4]))
    assert plain(translated) == (2, [struct.pack("<2h", 1, 3), struct.pack("<2d", 2, 4)], None)


def test_a_tensor_for_each_field_as_a_matrix() -> None:
    ours = signature(Field(name="a", dtype="int16", nullable=True), Field(name="b", dtype="float32"))
    theirs = signature(Field(name="a", nullable=True), Field(name="b"))
    (column,) = Translation(ours, theirs).of(decoded(ours, [1, 0.5], [None, 4])).columns
    assert isinstance(column, bytes)
    assert [f"{value}" for value in struct.unpack("<4d", column)] == ["1.0", "0.5", "nan", "4.0"]


def test_text_stays_beside_numbers_that_change() -> None:
    ours = signature(Field(name="word", dtype="string", nullable=True), Field(name="on", dtype="bool"))
    theirs = signature(Field(name="word", dtype="string", nullable=True), Field(name="on", dtype="bool", nullable=True))
    translated = Translation(ours, theirs).of(decoded(ours, ["a", True], [None, False]))
    assert plain(translated) == (2, [["a", None], struct.pack("<2d", 1, 0)], None)


@pytest.mark.parametrize("fields", [("float64", "float64"), ("string", "int8"), ("float32",)])
def test_what_is_laid_out_alike_is_not_touched(fields: tuple[DType, ...]) -> None:
    """Not even where the fields have other limits, or null is no longer refused."""
    ours = signature(*(Field(name=f"f{i}", dtype=dtype) for i, dtype in enumerate(fields)))
    theirs = signature(*(Field(name=f"f{i}", dtype=dtype, range=(0, 1)) for i, dtype in enumerate(fields)))
    rows = decoded(ours, *[["a" if dtype == "string" else 1 for dtype in fields]] * 3)
    assert Translation(ours, theirs).of(rows) is rows


def test_a_shape_that_varies_only_for_the_other_is_told() -> None:
    ours = signature(Field(name="image", dtype="uint8", shape=(2, 3)), Field(name="x"))
    theirs = signature(Field(name="image", dtype="uint8", shape=(None, 3)), Field(name="x"))
    rows = Translation(ours, theirs).of(decoded(ours, [[[1, 2, 3], [4, 5, 6]], 1.0]))
    heads, _ = join(theirs.tensors(), [rows])
    assert [head.shape for head in heads] == [(1, 2, 3), (1,)]


@st.composite
def fields(draw: st.DrawFn, name: str) -> tuple[Field, Field, st.SearchStrategy[Any]]:
    """A field of two versions, and what both of them take for it."""
    kind = draw(st.sampled_from(["float", "float", "whole", "bool", "string"]))
    nullable = draw(st.booleans())
    also = nullable or draw(st.booleans())
    value: st.SearchStrategy[Any]
    if kind == "float":
        one, other = draw(st.sampled_from(FLOAT)), draw(st.sampled_from(FLOAT))
        exact = st.integers(-800, 800).map(lambda eighths: eighths / 8)  # in every dtype
        value = st.floats(-1000, 1000) | exact if one == "float64" else exact
    elif kind == "whole":
        one, other = draw(st.sampled_from(WHOLE)), draw(st.sampled_from([*WHOLE, *FLOAT]))
        value = st.integers(0, 127)
    else:
        one = other = "bool" if kind == "bool" else "string"
        value = st.booleans() if kind == "bool" else st.sampled_from(["", "a", "ü"])
    shape = draw(st.sampled_from([(), (), (), (2,), (1, 2)])) if kind in ("float", "whole") else ()
    both = [tuple(None if draw(st.booleans()) else length for length in shape) for _ in range(2)]
    theirs = tuple(None if a is None else b for a, b in zip(*both, strict=True))
    for length in reversed(shape):
        value = st.lists(value, min_size=length, max_size=length)
    if nullable and not shape:
        value = st.none() | value
    return (
        Field(name=name, dtype=one, shape=both[0], nullable=nullable),
        Field(name=name, dtype=other, shape=theirs, nullable=also),
        value,
    )


@given(st.data())
@settings(max_examples=300)
def test_translated_rows_are_those_that_are_decoded_for_the_other(data: st.DataObject) -> None:
    drawn = [data.draw(fields(name)) for name in "abc"[: data.draw(st.integers(1, 3))]]
    ours, theirs = signature(*(one for one, _, _ in drawn)), signature(*(other for _, other, _ in drawn))
    assert strangeness_of(ours, theirs) is None
    rows = data.draw(st.lists(st.tuples(*(value for _, _, value in drawn)), min_size=1, max_size=4))
    bare = len(drawn) == 1 and bool(drawn[0][0].shape)  # else a list of one field is that field
    sent = [row[0] if bare else row for row in rows]
    assert plain(Translation(ours, theirs).of(decoded(ours, *sent))) == plain(decoded(theirs, *sent))
