"""What Redis holds in the place of an answer: read back as it was written, or taken for nothing."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.inference.row_answers import RowAnswer
from penstock.inference.row_format import FORMAT, LARGEST, Kept, RowFormat
from penstock.model.signature import DType, Field, Output, OutputField, Signature

DIGEST = bytes(range(32))
INPUTS = (Field(name="a"),)
CLASSIFIER = RowFormat(
    Signature(
        inputs=INPUTS,
        output=Output(fields=(OutputField(name="y", dtype="int32", classes=("a", "b", "c")),), probabilities=True),
    )
)
RANKED = RowFormat(
    Signature(
        inputs=INPUTS,
        output=Output(
            fields=(OutputField(name="y", dtype="int32", classes=("a", "b", "c")),), probabilities=True, top_k=2
        ),
    )
)
ANSWER: RowAnswer = (0.5, None, None, 2)
STATED: RowAnswer = (0.5, [0.2, 0.3, 0.5], None, 2)
LIKELIEST: RowAnswer = (0.5, [0.5, 0.3], [2, 1], 2)


def of(dtype: DType, *shape: int | None) -> RowFormat:
    field = OutputField(name="y", dtype=dtype, shape=shape)
    return RowFormat(Signature(inputs=INPUTS, output=Output(fields=(field,))))


def raw(**changes: Any) -> bytes:
    whole = {
        "format": FORMAT, "digest": DIGEST, "values": [2], "confidence": 0.5, "probabilities": None, "ranks": None
    } | changes  # fmt: skip
    return msgspec.msgpack.encode(list(whole.values()))


@pytest.mark.parametrize(
    ("form", "answer"), [(CLASSIFIER, ANSWER), (CLASSIFIER, STATED), (RANKED, ANSWER), (RANKED, LIKELIEST)]
)
def test_an_answer_is_read_as_it_was_written(form: RowFormat, answer: RowAnswer) -> None:
    written = form.written(DIGEST, answer)
    assert form.read(written, DIGEST, probabilities=answer[1] is not None) == answer


@pytest.mark.parametrize(
    "wrong",
    [
        {"format": FORMAT + 1},
        {"digest": bytes(32)},
        {"digest": DIGEST[:31]},
        {"values": []},
        {"values": [2, 2]},
        {"values": [3]},
        {"values": [-1]},
        {"values": [1.0]},
        {"values": [True]},
        {"values": ["b"]},
        {"values": [None]},
        {"values": [[2]]},
        {"values": {"0": 2}},
        {"confidence": None},
        {"confidence": 1.5},
        {"confidence": -0.5},
        {"confidence": float("nan")},
        {"confidence": float("inf")},
        {"confidence": "0.5"},
        {"probabilities": [0.2, 0.3, 0.5]},
        {"ranks": [0]},
        {"more": 1},
    ],
)
def test_what_this_model_could_not_have_answered_to_this_row_is_nothing(wrong: dict[str, Any]) -> None:
    assert CLASSIFIER.read(raw(), DIGEST, probabilities=False) == ANSWER
    assert CLASSIFIER.read(raw(**wrong), DIGEST, probabilities=False) is None


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        (CLASSIFIER, {}),
        (CLASSIFIER, {"probabilities": [0.2, 0.8]}),
        (CLASSIFIER, {"probabilities": [0.2, 0.3, 1.5]}),
        (CLASSIFIER, {"probabilities": [0.2, 0.3, None]}),
        (CLASSIFIER, {"probabilities": [0.2, 0.3, 0.5], "ranks": [0, 1, 2]}),
        (RANKED, {"probabilities": [0.5, 0.3]}),
        (RANKED, {"probabilities": [0.5, 0.3], "ranks": [2, 2]}),
        (RANKED, {"probabilities": [0.5, 0.3], "ranks": [2, 3]}),
        (RANKED, {"probabilities": [0.5], "ranks": [2]}),
    ],
)
def test_nor_are_probabilities_that_it_does_not_state(form: RowFormat, wrong: dict[str, Any]) -> None:
    assert form.read(raw(**wrong), DIGEST, probabilities=True) is None


@pytest.mark.parametrize(
    ("form", "right", "wrong"),
    [
        (of("float64"), [1.5, -0.0], [1, True, "1", None, float("nan"), float("inf"), [1.5]]),
        (of("int8"), [-128, 127], [128, -129, 1.0, True]),
        (of("uint64"), [0, 2**64 - 1], [-1, 1.0]),
        (of("bool"), [True], [1, 0.0]),
        (of("string"), ["x", None, ""], [1, b"x"]),
        (of("float32", 2, None), [[[1.0], [2.0]], [[], []]], [[[1.0]], [1.0, 2.0], [[1.0], [1]], 1.0]),
    ],
)
def test_a_value_is_one_of_its_field(form: RowFormat, right: list[Any], wrong: list[Any]) -> None:
    for value in right:
        found = form.read(raw(values=[value], confidence=None), DIGEST, probabilities=False)
        assert found == (None, None, None, value)
    for value in wrong:
        assert form.read(raw(values=[value], confidence=None), DIGEST, probabilities=False) is None


@given(st.binary(max_size=200), st.integers(0, 60), st.booleans())
def test_whatever_bytes_are_there_the_answer_is_right_or_none(junk: bytes, at: int, chances: bool) -> None:
    """Of bytes that were changed in places, and of bytes that never were an answer."""
    good = CLASSIFIER.written(DIGEST, STATED if chances else ANSWER) or b""
    for hostile in (junk, good[:at] + junk + good[at + len(junk) :], good[:at], good + junk):
        found = CLASSIFIER.read(hostile, DIGEST, probabilities=chances)
        if found is not None:
            sure, *_, value = found
            assert value in (0, 1, 2)
            assert 0 <= sure <= 1.000001


@pytest.mark.parametrize(
    "hostile",
    [
        b"cos\nsystem\n(S'true'\ntR.",  # a pickle
        b"\x91" * 100_000,  # nested without end
        b"\xdf\xff\xff\xff\xff",  # a map of four milliards
        b"\xdd\xff\xff\xff\xff",
        b"x" * (LARGEST + 1),
        "text",
        7,
        [raw()],
    ],
)
def test_what_is_made_to_do_harm_does_none(hostile: object) -> None:
    assert CLASSIFIER.read(hostile, DIGEST, probabilities=False) is None


def test_what_is_too_large_is_not_written() -> None:
    assert of("string").written(DIGEST, (None, None, None, "x" * LARGEST)) is None


def test_no_field_of_the_format_is_forgotten_in_these_tests() -> None:
    assert len(Kept.__struct_fields__) == len(msgspec.msgpack.decode(raw()))
