"""The fast decoder: it takes exactly what the precise reading finds nothing wrong with, and packs it to the bit."""

import struct
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Limits
from penstock.errors import MalformedRequest, NotFinite, RaggedBatch, RequestError, WrongFeatureCount
from penstock.interface.decoder import RowDecoder
from penstock.interface.request import check
from penstock.model.signature import DType, Field, Output, OutputField, Signature

OUTPUT = Output(fields=(OutputField(name="prediction"),))
LIMITS = Limits(rows=5)


def signature(*fields: Field) -> Signature:
    return Signature(inputs=fields, output=OUTPUT)


GALLERY = {
    "floats": signature(*[Field(name=f"f {i}") for i in range(3)]),
    "one": signature(Field(name="f 0")),
    "float32": signature(Field(name="a", dtype="float32"), Field(name="b", dtype="float32")),
    "integers": signature(Field(name="a", dtype="int8"), Field(name="b", dtype="int8")),
    "missing": signature(Field(name="a", nullable=True), Field(name="b", nullable=True)),
    "mixed": signature(
        Field(name="age", dtype="int16", nullable=True),
        Field(name="colour", dtype="string", categories=("red", "green"), unknown="refuse"),
        Field(name="x", dtype="float64"),
        Field(name="on", dtype="bool"),
    ),
    "text": signature(Field(name="text", dtype="string", nullable=True)),
    "level": signature(Field(name="level", dtype="int64", categories=(1, 2), unknown="refuse")),
    "image": signature(Field(name="image", dtype="float32", shape=(2, 2))),
    "variable": signature(Field(name="signal", dtype="int32", shape=(None,)), Field(name="x")),
}

NUMBERS: list[Any] = [0, 1, -1, 2, 1.5, 3.0, 127, 128, 200, -129, 40000, 2**53, 2**53 + 2, 1e39, -1e300, 2**63, 2**1024]
ODD: list[Any] = [None, True, False, "1", "red", "blue", "NaN", [], {}, [1], {"a": 1}]
SCALARS = st.sampled_from(NUMBERS) | st.sampled_from(ODD)


def rows_of(sig: Signature) -> st.SearchStrategy[Any]:
    """Rows that fit more often than not."""
    values = [_values_of(field) for field in sig.inputs]
    in_order = st.tuples(*values).map(list)
    by_name = st.fixed_dictionaries({f.name: v for f, v in zip(sig.inputs, values, strict=True)})
    bare = values[0] if len(values) == 1 else in_order
    odd_length = st.lists(SCALARS, max_size=4)
    unknown = by_name.map(lambda row: row | {"zzz": 1})
    return st.one_of(in_order, in_order, by_name, by_name, bare, odd_length, unknown, SCALARS)


def _values_of(field: Field) -> st.SearchStrategy[Any]:
    scalar = {
        "string": st.sampled_from(["red", "green", "red", "blue"]),
        "bool": st.booleans(),
    }.get(field.dtype, st.sampled_from([0, 1, 2, 3.0, -1]))
    value: st.SearchStrategy[Any] = scalar | scalar | scalar | SCALARS
    for length in reversed(field.shape):
        value = st.lists(value, min_size=length or 1, max_size=length or 3) | st.lists(value, max_size=3)
    return value


@pytest.mark.soak
def test_the_fast_way_takes_what_the_precise_one_finds_nothing_wrong_with(scale: Callable[[int, int], int]) -> None:
    settings(max_examples=scale(500, 50_000))(given(st.data())(_compare))()


def _compare(data: st.DataObject) -> None:
    sig = GALLERY[data.draw(st.sampled_from(sorted(GALLERY)))]
    batch = data.draw(st.booleans())
    row = rows_of(sig)
    body = {"batch": data.draw(st.lists(row, max_size=6))} if batch else {"features": data.draw(row)}
    if data.draw(st.integers(0, 9)) == 0:
        body = data.draw(st.sampled_from([{}, [], None, body | {"more": 1}, {"features": None}, {"batch": None}]))
    raw = msgspec.json.encode(body) if not _huge(body) else str(body).replace("'", '"').encode()
    decoder = RowDecoder(sig, LIMITS)
    if (wrong := _wrong(raw, sig, batch=batch)) is None:
        rows = decoder.batch(raw) if batch else decoder.single(raw)
        assert rows.count == (len(body["batch"]) if batch else 1)
    else:
        with pytest.raises(RequestError):
            pytest.fail(f"{decoder.batch(raw) if batch else decoder.single(raw)} was taken, in spite of: {wrong}")


def _huge(body: Any) -> bool:
    return str(2**1024) in str(body) or str(2**1024)[:20] in str(body)


def _wrong(raw: bytes, sig: Signature, *, batch: bool) -> RequestError | None:
    try:
        body = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return NotFinite()
    except msgspec.DecodeError:
        return MalformedRequest()
    return check(body, sig, batch=batch, limits=LIMITS)


@pytest.mark.parametrize(("dtype", "code"), [("float64", "d"), ("float32", "f"), ("float16", "e"), ("int64", "q")])
def test_numbers_are_packed_in_the_dtype_of_the_field(dtype: DType, code: str) -> None:
    sig = signature(Field(name="a", dtype=dtype), Field(name="b", dtype=dtype))
    assert RowDecoder(sig, LIMITS).single(b'{"features":[1,2]}').columns == [struct.pack(f"<2{code}", 1, 2)]


@given(
    st.lists(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3), min_size=1, max_size=5)
)
def test_floats_arrive_to_the_bit(rows: list[list[float]]) -> None:
    packed = RowDecoder(GALLERY["floats"], LIMITS).batch(msgspec.json.encode({"batch": rows})).columns[0]
    assert bytes(packed) == np.array(rows, "<f8").tobytes()


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_never_rounded(value: int) -> None:
    sig = signature(Field(name="a", dtype="int64"))
    packed = RowDecoder(sig, LIMITS).single(msgspec.json.encode({"features": [value]})).columns[0]
    assert struct.unpack("<q", bytes(packed)) == (value,)


def test_null_becomes_nan_and_text_stays_text() -> None:
    sig = signature(
        Field(name="age", dtype="int64", nullable=True), Field(name="colour", dtype="string", nullable=True)
    )
    rows = RowDecoder(sig, LIMITS).batch(b'{"batch":[[null,"red"],[7,null]]}')
    assert np.isnan(np.frombuffer(bytes(rows.columns[0]))[0])
    assert rows.columns[1] == ["red", None]


def test_an_object_may_name_its_fields_in_any_order() -> None:
    decoder = RowDecoder(GALLERY["floats"], LIMITS)
    named = decoder.single(b'{"features":{"f 2":3,"f 0":1,"f 1":2}}')
    assert named.columns == decoder.single(b'{"features":[1,2,3]}').columns


def test_a_tensor_of_variable_shape_says_its_shape() -> None:
    rows = RowDecoder(GALLERY["variable"], LIMITS).single(b'{"features":[[1,2,3],0.5]}')
    assert (rows.shapes, rows.columns[0]) == (((3,), ()), memoryview(struct.pack("<3i", 1, 2, 3)))


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"batch":[[1,2,3],[1,2]]}', RaggedBatch),
        (b'{"batch":[[1,2,3],{"f 0":1,"f 1":2,"f 2":3}]}', RaggedBatch),
        (b'{"batch":[[1,2],[1,2]]}', WrongFeatureCount),
        (b'{"batch":[[1,2,1e400]]}', NotFinite),
    ],
)
def test_what_is_malformed_says_how(body: bytes, error: type[RequestError]) -> None:
    with pytest.raises(error):
        RowDecoder(GALLERY["floats"], LIMITS).batch(body)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_large_batch_is_read_as_a_small_one_is(data: st.DataObject) -> None:
    """The bulk reader is only asked about long bodies; padding makes these long."""
    sig = GALLERY[data.draw(st.sampled_from(["floats", "float32", "one", "missing"]))]
    width = len(sig.inputs)
    number = st.sampled_from([0, 1, -0.0, 2.5, 1e-320, 1e30, 3.4028235677973366e38, 1e300, 2**53 + 1, 2**64, 2**63])
    odd: st.SearchStrategy[Any] = st.sampled_from([None, True, "1", [1.0], [[]], {}, {"f 0": 1}])
    row = st.lists(number, min_size=width, max_size=width)
    rows = data.draw(st.lists(row | row | row | st.lists(number | odd, max_size=4), max_size=6))
    body = msgspec.json.encode({"batch": rows})
    suffix = data.draw(st.sampled_from([b"", b"", b',"batch":[[1,2,3]]', b',"more":1']))
    long = body[:-1] + suffix + b" " * 600 + b"}"
    short = body[:-1] + suffix + b"}"
    decoder = RowDecoder(sig, LIMITS)
    assert _outcome(decoder, long) == _outcome(decoder, short)


def _outcome(decoder: RowDecoder, body: bytes) -> object:
    try:
        return bytes(decoder.batch(body).columns[0])
    except RequestError as error:
        return type(error)
