"""Rows of nothing but zeros: refused by their place where that is declared, and else not looked at."""

import json
from typing import Any

import pytest

from penstock.config import Limits
from penstock.errors import InvalidRequest
from penstock.interface.decoder import RowDecoder
from penstock.interface.schema import batch_request, request
from penstock.interface.zeros import refusing_zeros
from penstock.model.signature import Field, Output, Signature


def refusing(*fields: Field) -> Signature:
    return Signature(inputs=fields, output=Output(fields=()), all_zero="refuse")


def refusal(signature: Signature, key: str, value: Any) -> InvalidRequest | None:
    """The refusal of a body, if it is refused."""
    decoder = RowDecoder(signature, Limits())
    decode = refusing_zeros(decoder.batch if key == "batch" else decoder.single, signature, key)
    try:
        decode(json.dumps({key: value}).encode())
    except InvalidRequest as error:
        return error
    return None


NUMBERS = refusing(Field(name="a"), Field(name="b"))
MIXED = refusing(
    Field(name="a", nullable=True),
    Field(name="b", dtype="int64"),
    Field(name="c", dtype="string"),
    Field(name="d", dtype="bool"),
)
IMAGE = refusing(Field(name="image", dtype="uint8", shape=(2, 2)))


@pytest.mark.parametrize(
    ("signature", "zero", "others"),
    [
        (NUMBERS, [0, 0], [[0, 1e-300], [-1, 1]]),
        (NUMBERS, [-0.0, 0.0], [[1, 0]]),
        (NUMBERS, {"a": 0, "b": 0}, [{"a": 0, "b": 1}]),
        (MIXED, [0, 0, "text", True], [[0, 1, "", False], [0.5, 0, "", False], [None, 0, "", False]]),
        (IMAGE, [[0, 0], [0, 0]], [[[0, 0], [0, 1]]]),
        (refusing(Field(name="a", dtype="float16")), [0], [[1]]),
        (refusing(Field(name="a"), Field(name="b", dtype="bool", nullable=True)), [0, True], [[1, False]]),
    ],
)
def test_a_row_whose_numbers_are_all_zero_is_refused_and_no_other(
    signature: Signature, zero: Any, others: list[Any]
) -> None:
    error = refusal(signature, "features", zero)
    assert error is not None
    assert [problem.loc for problem in error.problems] == [("features",)]
    assert [refusal(signature, "features", row) for row in others] == [None] * len(others)
    error = refusal(signature, "batch", [others[0], zero, others[0], zero])
    assert error is not None
    assert [problem.loc for problem in error.problems] == [("batch", 1), ("batch", 3)]
    assert str(error).startswith("At batch[1]: every number is zero.")


def test_a_large_batch_is_told_of_its_first_ten() -> None:
    error = refusal(NUMBERS, "batch", [[0, 0]] * 1000)
    assert error is not None
    assert len(error.problems) == 10


def test_what_is_not_declared_costs_nothing() -> None:
    signature = Signature(inputs=NUMBERS.inputs, output=NUMBERS.output)
    decode = RowDecoder(signature, Limits()).single
    assert refusing_zeros(decode, signature, "features") == decode
    assert "not" not in json.dumps(request(signature))


@pytest.mark.parametrize("signature", [NUMBERS, MIXED, IMAGE])
def test_the_schema_forbids_what_is_refused(signature: Signature) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    row = {"image": [[0, 0], [0, 0]]} if signature is IMAGE else {"a": 0, "b": 0, "c": "", "d": True}
    zero = {field.name: row[field.name] for field in signature.inputs}
    some = zero | ({"image": [[0, 0], [0, 1]]} if signature is IMAGE else {"b": 1})
    ordered = [list(each.values()) for each in (zero, some)]
    for bad, good in ((zero, some), ordered if signature is not IMAGE else (zero["image"], some["image"])):
        for schema, key, wrap in ((request(signature), "features", 0), (batch_request(signature, 9), "batch", 1)):
            validator = jsonschema.Draft202012Validator(schema)
            assert validator.is_valid({key: [good] if wrap else good})
            assert not validator.is_valid({key: [bad] if wrap else bad})
