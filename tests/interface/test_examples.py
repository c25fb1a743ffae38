"""Examples work when sent: by the decoder, by the precise reading, and by the schema beside them."""

from typing import Any

import msgspec
import numpy as np
import pytest
from openapi_schema_validator import OAS31Validator

from penstock.config import Limits
from penstock.interface import schema
from penstock.interface.decoder import RowDecoder
from penstock.interface.examples import answer, batch_answer, batch_examples, recipe, single_examples, value
from penstock.interface.request import check
from penstock.model.signature import Field, Signature
from tests.interface.gallery import SIGNATURES

LIMITS = Limits(rows=50)
SMALL = {name: signature for name, signature in SIGNATURES.items() if name != "image"}


@pytest.mark.parametrize("signature", SMALL.values(), ids=SMALL)
def test_examples_are_taken(signature: Signature) -> None:
    single, batch = single_examples(signature), batch_examples(signature)
    assert len(single) == len(batch) == 2
    for body in single.values():
        assert check(body, signature, batch=False, limits=LIMITS) is None
        OAS31Validator(schema.request(signature)).validate(body)
    for body in batch.values():
        assert check(body, signature, batch=True, limits=LIMITS) is None
        OAS31Validator(schema.batch_request(signature, 50)).validate(body)


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_answers_are_what_their_schema_says(signature: Signature) -> None:
    OAS31Validator(schema.answer("m", signature)).validate(answer("m", "1", signature))
    OAS31Validator(schema.batch_answer("m", signature)).validate(batch_answer("m", "1", signature))


@pytest.mark.parametrize("name", sorted(SMALL))
def test_the_lane_takes_them(name: str) -> None:
    decoder = RowDecoder(SMALL[name], LIMITS)
    for body in single_examples(SMALL[name]).values():
        assert decoder.single(msgspec.json.encode(body)).count == 1
    for body in batch_examples(SMALL[name]).values():
        assert decoder.batch(msgspec.json.encode(body)).count == 2


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_very_large_row_has_a_recipe_instead(signature: Signature) -> None:
    assert single_examples(SIGNATURES["image"]) == {}
    row = eval(recipe(signature), {"np": np})
    assert check({"features": row}, signature, batch=False, limits=LIMITS) is None


def test_a_model_that_never_named_its_columns_is_shown_a_list_first() -> None:
    assert next(iter(single_examples(SIGNATURES["digits"]).values()))["features"] == [1.0] * 64
    assert "sepal width (cm)" in next(iter(single_examples(SIGNATURES["iris"]).values()))["features"]


@pytest.mark.parametrize(
    ("field", "shown"),
    [
        (Field(name="x"), 1.0),
        (Field(name="x", range=(4.3, 7.9)), 6.1),
        (Field(name="x", range=(1e-9, 1.1e-9)), 1.05e-9),
        (Field(name="x", range=(1000.1, 1000.2)), 1000.15),
        (Field(name="x", range=(float("-inf"), 3.0)), 1.0),
        (Field(name="x", dtype="int8", range=(500, 600)), 127),
        (Field(name="x", dtype="int64", range=(18, 99)), 59),
        (Field(name="x", dtype="float16", range=(1e5, 2e5)), 0.0),
        (Field(name="x", dtype="string", categories=("a", "b")), "a"),
        (Field(name="x", dtype="bool", shape=(1, 2)), [[True, True]]),
    ],
)
def test_an_example_lies_inside_the_range_and_is_short(field: Field, shown: Any) -> None:
    assert value(field) == pytest.approx(shown) if isinstance(shown, float) else value(field) == shown
