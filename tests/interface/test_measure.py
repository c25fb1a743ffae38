"""How much a body may hold: megabytes of nonsense are refused for what is counted in them, before they are decoded."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.config import Limits
from penstock.errors import RequestError
from penstock.interface.decoder import RowDecoder
from penstock.interface.errors import error_response
from penstock.interface.measure import LARGE, SLACK, Measure, measure_of
from penstock.model.signature import Field, Output, OutputField, Signature

LIMITS = Limits(rows=1000)
KEYS = b",".join(b'"%d":1' % i for i in range(250_000))


def decoder(*fields: Field) -> RowDecoder:
    return RowDecoder(Signature(inputs=fields, output=Output(fields=(OutputField(name="prediction"),))), LIMITS)


PAIR = decoder(Field(name="a"), Field(name="b"))
TEXT = decoder(Field(name="text", dtype="string", nullable=True))
IMAGE = decoder(Field(name="image", dtype="float32", shape=(3, 224, 224)))
SIGNAL = decoder(Field(name="signal", shape=(None, 2)), Field(name="gain"))

BATCHES = {
    "lists": (b'{"batch":[' + b"[]," * 2**20 + b"[]]}", 422),
    "objects": (b'{"batch":[' + b"{}," * 2**20 + b"{}]}", 422),
    "rows in order": (b'{"batch":[' + b"[1,2]," * 2**20 + b"[1,2]]}", 422),
    "nested lists": (b'{"batch":[' + b"[[[[[[]]]]]]," * 2**18 + b"1]}", 422),
    "keys": (b"{" + KEYS + b"}", 422),
    "keys of a row": (b'{"batch":[{' + KEYS + b"}]}", 422),
    "keys and blanks": (b"{" + KEYS.replace(b":", b"\n:") + b"}", 422),
    "lists and strings that never end": (b'"[' * 2**21, 400),
    "lists that never end": (b"[" * 2**22, 400),
}
ROWS = {
    "lists": (b'{"features":[' + b"[]," * 2**20 + b"[]]}", 400),
    "objects": (b'{"features":{"a":[' + b"{}," * 2**20 + b"{}]}}", 422),
    "keys": (b'{"features":{' + KEYS + b"}}", 422),
}
VALUES = {  # where the number of values is known, these have a limit too
    "numbers": (b'{"batch":[[' + b"1.5," * 2**20 + b"1]]}", 422),
    "strings": (b'{"batch":[' + b'"[",' * 2**20 + b"1]}", 422),
    "numbers that are none": (b'{"batch":[' + b".5," * 2**20 + b"1]}", 400),
}


@pytest.mark.parametrize("reader", [PAIR, TEXT, IMAGE, SIGNAL], ids=["pair", "text", "image", "signal"])
@pytest.mark.parametrize(("body", "status"), BATCHES.values(), ids=BATCHES)
def test_a_batch_of_megabytes_of_nonsense_is_refused(body: bytes, status: int, reader: RowDecoder) -> None:
    assert refusal(reader, body) == status


@pytest.mark.parametrize("reader", [PAIR, TEXT], ids=["pair", "text"])
@pytest.mark.parametrize(("body", "status"), VALUES.values(), ids=VALUES)
def test_a_batch_of_megabytes_of_values_is_refused(body: bytes, status: int, reader: RowDecoder) -> None:
    assert refusal(reader, body) == status


@pytest.mark.parametrize("reader", [PAIR, TEXT], ids=["pair", "text"])
@pytest.mark.parametrize(("body", "status"), ROWS.values(), ids=ROWS)
def test_a_row_of_megabytes_of_nonsense_is_refused(body: bytes, status: int, reader: RowDecoder) -> None:
    assert refusal(reader, body) == status


def refusal(reader: RowDecoder, body: bytes) -> int:
    """The status that `body` is refused with, for which next to nothing may have been made of it.

    A list weighs 56 bytes, so of millions of them there would be hundreds of megabytes; what is looked for in the body
    may be looked for in a copy or two of it.
    """
    tracemalloc.start()
    try:
        with pytest.raises(RequestError) as refused:
            reader.single(body) if b'"features"' in body[:20] else reader.batch(body)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * len(body)
    finally:
        tracemalloc.stop()
    return error_response(refused.value, "r").status


def test_where_lengths_vary_lists_are_limited_by_number() -> None:
    points = b"[1,2]," * 499_999 + b"[1,2]"
    assert SIGNAL.single(b'{"features":[[' + points + b"],1]}").count == 1
    with pytest.raises(RequestError, match="Send one row of 2 values, and no more than 500000 lists"):
        SIGNAL.single(b'{"features":[[' + points + b"," + points + b"],1]}")


def test_a_long_row_hears_of_its_length() -> None:
    with pytest.raises(RequestError, match="Send 2 values at features"):
        PAIR.single(b'{"features":[' + b"1," * LARGE + b"1]}")


def test_a_text_full_of_json_is_one_value() -> None:
    text = msgspec.json.encode({str(i): ["x", "y"] for i in range(50_000)}).decode()
    assert TEXT.single(msgspec.json.encode({"features": [text]})).columns == [[text]]


@pytest.mark.parametrize(
    ("fields", "measure"),
    [
        ([Field(name="a"), Field(name="b")], Measure(lists=2 + 10, keys=1 + 20, values=20)),
        ([Field(name="image", shape=(3, 5))], Measure(lists=2 + 10 * (1 + 1 + 3), keys=11, values=10 * (1 + 3 + 15))),
        ([Field(name="signal", shape=(None,))], Measure(lists=2 + 10 * (1 + 1), keys=11, values=float("inf"))),
        ([Field(name="signal", shape=(None, 2))], Measure(lists=500_000, keys=11, values=float("inf"))),
    ],
    ids=["scalars", "tensor", "list of any length", "lists of any number"],
)
def test_the_measure_is_what_ten_rows_hold(fields: list[Field], measure: Measure) -> None:
    assert measure_of(fields, 10) == measure


JSON = st.recursive(
    st.integers() | st.text(st.sampled_from('a[{:,"\\é'), max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text('k:,"[', max_size=3), inner, max_size=6),
)


@settings(max_examples=25, deadline=None)
@given(body=JSON, blanks=st.sampled_from([None, 2]))
def test_marks_in_strings_do_not_count(body: object, blanks: int | None) -> None:
    """As many as there are is not too many, and one fewer is; the slack is filled with lists, keys and commas."""
    whole = {"body": body, **{f"{i}": [] for i in range(SLACK + 10)}}
    lists, keys, commas = _contents(whole)
    encoded = msgspec.json.encode(whole) if blanks is None else msgspec.json.format(msgspec.json.encode(whole))
    assert not Measure(lists - SLACK, keys - SLACK, commas - SLACK).exceeded_by(encoded)
    assert Measure(lists - SLACK - 1, keys, commas).exceeded_by(encoded)
    assert Measure(lists, keys - SLACK - 1, commas).exceeded_by(encoded)
    assert Measure(lists, keys, commas - SLACK - 1).exceeded_by(encoded)


def _contents(value: object) -> tuple[int, int, int]:
    """How many lists and objects, keys and commas `value` has."""
    if not isinstance(value, list | dict):
        return 0, 0, 0
    inner = [_contents(v) for v in (value.values() if isinstance(value, dict) else value)]
    lists, keys, commas = (sum(counts) for counts in zip((0, 0, 0), *inner, strict=True))
    return lists + 1, keys + (len(value) if isinstance(value, dict) else 0), commas + max(0, len(value) - 1)
