"""The JSON Schema of a signature: what is refused is a constraint, what is only unusual is told."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from penstock.config import Limits
from penstock.interface import schema
from penstock.interface.request import check
from penstock.model.signature import Field, Output, OutputField, Signature
from tests.interface.gallery import SIGNATURES

LIMITS = Limits(rows=3)


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_every_schema_is_one(signature: Signature) -> None:
    for made in (schema.request(signature), schema.batch_request(signature, 3)):
        OAS31Validator.check_schema(made)
    OAS31Validator.check_schema(schema.answer("m", signature))
    OAS31Validator.check_schema(schema.batch_answer("m", signature))


FIELDS: list[tuple[Field, dict[str, Any]]] = [
    (Field(name="x"), {"type": "number", "format": "double"}),
    (Field(name="x", nullable=True), {"type": ["number", "null"], "description": "null where it is missing."}),
    (Field(name="x", dtype="int8"), {"type": "integer", "minimum": -128, "maximum": 127}),
    (Field(name="x", dtype="int64", nullable=True), {"minimum": -(2**53), "maximum": 2**53}),
    (Field(name="x", dtype="bool"), {"type": "boolean"}),
    (Field(name="x", dtype="string", origin="declared"), {"type": "string", "x-origin": "declared"}),
    (
        Field(name="x", range=(4.3, 7.9), unit="cm"),
        {
            "description": "In cm. Usually from 4.3 to 7.9; what is outside is served and logged.",
            "x-range": [4.3, 7.9],
            "x-unit": "cm",
        },
    ),
    (
        Field(name="x", dtype="string", categories=("a", "b")),
        {"description": "Usually one of a, b; others are served and logged.", "x-categories": ["a", "b"]},
    ),
    (Field(name="x", dtype="string", categories=("a", "b"), unknown="refuse"), {"enum": ["a", "b"]}),
    (
        Field(name="x", dtype="uint8", shape=(None, 2)),
        {"type": "array", "minItems": 1, "description": "Nested lists of shape (any, 2).", "x-dtype": "uint8"},
    ),
]


@pytest.mark.parametrize(("field", "said"), FIELDS, ids=[str(f) for f, _ in FIELDS])
def test_a_field_tells_all_that_is_known_about_it(field: Field, said: dict[str, Any]) -> None:
    assert said.items() <= schema.input_field(field).items()


def test_a_huge_tensor_is_told_in_words_alone() -> None:
    told = schema.input_field(Field(name="x", shape=(3, 1024, 1024)))
    assert "minItems" not in told
    assert told["description"] == "Nested lists of shape (3, 1024, 1024)."


def test_what_is_out_of_range_is_not_refused() -> None:
    body = {"features": [99.0, -99.0, 0.0, 0.0]}
    OAS31Validator(schema.request(SIGNATURES["iris"])).validate(body)


SMALL = {
    "pair": Signature(inputs=(Field(name="a"), Field(name="b")), output=SIGNATURES["tiny-image"].output),
    "float32": Signature(inputs=(Field(name="a", dtype="float32"),), output=SIGNATURES["tiny-image"].output),
    "people": Signature(
        inputs=(
            Field(name="a", dtype="int8", nullable=True),
            Field(name="b", dtype="string", categories=("red", "green"), unknown="refuse"),
        ),
        output=SIGNATURES["tiny-image"].output,
    ),
    "tensor": Signature(inputs=(Field(name="a", dtype="int32", shape=(2,)),), output=SIGNATURES["tiny-image"].output),
}
SENT: list[Any] = [0, 1, 2.0, 1.5, -129, 3e39, None, True, "red", "blue", [1, 2], [1], ["x", 2], {}]
VALUES = st.sampled_from(SENT)
ROWS = st.lists(VALUES, max_size=3) | st.dictionaries(st.sampled_from("abc"), VALUES) | VALUES
BODIES = st.dictionaries(st.sampled_from(["features", "more"]), ROWS) | ROWS
BATCHES = st.fixed_dictionaries({"batch": st.lists(ROWS, max_size=4) | ROWS})


@given(name=st.sampled_from(sorted(SMALL)), body=BODIES)
@example(name="pair", body={"features": [1, 2]})
@example(name="pair", body={"features": [1, 2], "more": 1})
@example(name="pair", body={"features": {"a": 1, "b": 2}})
@example(name="pair", body={"features": {"a": 1, "b": 2, "c": 3}})
def test_the_schema_and_the_server_agree(name: str, body: Any) -> None:
    taken = check(body, SMALL[name], batch=False, limits=LIMITS) is None
    assert OAS31Validator(schema.request(SMALL[name])).is_valid(body) == taken


@given(name=st.sampled_from(sorted(SMALL)), body=BATCHES)
def test_they_agree_on_batches(name: str, body: Any) -> None:
    taken = check(body, SMALL[name], batch=True, limits=LIMITS) is None
    assert OAS31Validator(schema.batch_request(SMALL[name], 3)).is_valid(body) == taken


ANSWERS: list[tuple[str, Any, Any]] = [
    ("iris", "setosa", 0.9),
    ("digits", 7, 1.0),
    ("people", True, 0.5),
    ("tiny-image", -1.5, None),
    ("signal", [1.0, 2.0, 3.0], None),
    ("weather", [0.1, "clear", 3], None),
]


@pytest.mark.parametrize(("name", "prediction", "confidence"), ANSWERS)
def test_an_answer_fits_its_schema(name: str, prediction: Any, confidence: float | None) -> None:
    ending = {"latency_ms": 1.2, "timestamp": "2026-11-23T10:00:00.000Z", "model": name, "model_version": "1"}
    one = OAS31Validator(schema.answer(name, SIGNATURES[name]))
    one.validate({"prediction": prediction, "confidence": confidence, **ending})
    assert not one.is_valid({"prediction": {}, "confidence": confidence, **ending})
    many = OAS31Validator(schema.batch_answer(name, SIGNATURES[name]))
    many.validate({"predictions": [prediction] * 2, "confidences": [confidence] * 2, **ending})


def test_probabilities_are_told_in_the_order_of_the_classes() -> None:
    told = schema.answer("iris", SIGNATURES["iris"])["properties"]["probabilities"]
    assert told["description"].endswith("in this order: setosa, versicolor, virginica.")
    assert (told["minItems"], told["maxItems"]) == (3, 3)


def test_labels_of_several_kinds_are_told_as_they_are() -> None:
    output = Output(fields=(OutputField(name="prediction", classes=("a", 1)),))
    assert schema.prediction(Signature(inputs=(Field(name="x"),), output=output)) == {"enum": ["a", 1]}


def test_a_shaped_output_is_told() -> None:
    field = OutputField(name="price", unit="EUR", round=2, clip=(0, None))
    assert schema.prediction(Signature(inputs=(Field(name="x"),), output=Output(fields=(field,)))) == {
        "title": "price",
        "type": "number",
        "format": "double",
        "minimum": 0,
        "description": "In EUR. Rounded to 2 digits. What the model answers beyond these ends is given as the end.",
        "x-unit": "EUR",
    }


def test_a_decision_says_how_it_is_made() -> None:
    field = OutputField(name="prediction", classes=("no", "yes"))
    for stated, of in ((True, "the probability of yes"), (False, "the model's score")):
        output = Output(fields=(field,), probabilities=stated, threshold=0.3)
        told = schema.prediction(Signature(inputs=(Field(name="x"),), output=output))
        assert told["description"] == f"yes where {of} is at least 0.3, else no."
        assert (told["x-threshold"], told["enum"]) == (0.3, ["no", "yes"])


def test_the_likeliest_classes_have_their_names_beside_their_probabilities() -> None:
    output = Output(fields=(OutputField(name="prediction", classes=(1, 2, 3)),), probabilities=True, top_k=2)
    chances = schema.answer("m", Signature(inputs=(Field(name="x"),), output=output))["properties"]["probabilities"]
    validator = OAS31Validator(chances)
    assert validator.is_valid([{"class": 3, "probability": 0.6}, {"class": 1, "probability": 0.3}])
    assert not validator.is_valid([0.1, 0.3, 0.6])
