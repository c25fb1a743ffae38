"""Golden examples: which rows are chosen, how they are made up without data, and how rows cross the wire."""

import math
from typing import Any

import numpy as np
import pytest

from penstock.cli.packing.golden import chosen, examples, plausible
from penstock.cli.packing.wire import Answered, answered, encoded
from penstock.host.responder import unpack
from penstock.model.batch import Answer, TensorHead
from penstock.model.signature import Field, Label, Output, OutputField, Signature

AGE, CITY = Field(name="age", nullable=True), Field(name="city", dtype="string")
IMAGE = Field(name="image", dtype="float32", shape=(2, None))


def signature(*fields: Field, classes: tuple[Label, ...] | None = None) -> Signature:
    return Signature(inputs=fields, output=Output(fields=(OutputField(name="prediction", classes=classes),)))


def test_there_is_an_example_of_each_class_and_it_is_the_surest() -> None:
    given = [Answered([float(i)], "no", 0.6) for i in range(200)]
    given[77] = Answered([77.0], "no", 0.9)
    given[150], given[160] = Answered([150.0], "yes", 0.51), Answered([160.0], "yes", 0.8)
    taken = chosen(given, signature(AGE, classes=("no", "yes")))
    assert len(taken) == 10
    assert given[77] in taken
    assert given[160] in taken
    assert taken == sorted(taken, key=given.index)


@pytest.mark.parametrize(("classes", "count"), [(3, 10), (40, 40), (300, 100)])
def test_many_classes_have_more_examples_within_bounds(classes: int, count: int) -> None:
    given = [Answered([float(i)], i % classes, 0.9) for i in range(1000)]
    assert len(chosen(given, signature(AGE, classes=tuple(range(classes))))) == count


def test_numbers_have_examples_from_all_over_and_large_rows_fewer() -> None:
    given = [Answered([float(i)], float(i), None) for i in range(100)]
    assert [each.prediction for each in chosen(given, signature(AGE))] == [float(i) for i in range(0, 100, 10)]
    assert len(chosen(given, signature(Field(name="image", shape=(100, 100))))) == 2
    assert len(chosen(given, signature(Field(name="image", shape=(3, 224, 224))))) == 1


def test_rows_are_written_by_name_where_there_are_names() -> None:
    row = [Answered([41.0, "Bern"], 1.5, None)]
    (named,) = examples(row, signature(AGE, CITY), ["age", "city"])
    assert named == {"features": {"age": 41.0, "city": "Bern"}, "prediction": 1.5, "tolerance": 1e-5}
    (plain,) = examples([Answered([0.5], "a", 0.75)], signature(Field(name="f0", dtype="float32")), None)
    assert plain == {"features": [0.5], "prediction": "a", "confidence": 0.75, "tolerance": 1e-4}


def test_made_up_rows_fit_the_fields_and_are_always_the_same() -> None:
    fields = [
        Field(name="age", dtype="int64", range=(18, 21)),
        Field(name="size", dtype="float32", range=(0.1, 0.2)),
        Field(name="count", dtype="uint8"),
        Field(name="colour", dtype="string", categories=("red", "green")),
        IMAGE,
    ]
    rows = plausible(fields)
    assert rows == plausible(fields)
    assert {row[0] for row in rows} <= {18, 19, 20, 21}
    assert all(0.1 <= row[1] <= 0.2 and 0 <= row[2] <= 100 for row in rows)
    assert {row[3] for row in rows} == {"red", "green"}
    assert np.array([row[4] for row in rows]).shape == (len(rows), 2, 1)
    assert len(plausible([Field(name="image", shape=(3, 224, 224))])) == 1


@pytest.mark.parametrize(
    ("fields", "rows", "columns"),
    [
        ((AGE, Field(name="height")), [[1.5, 2.5], [None, 3.5]], [[[1.5, 2.5], [math.nan, 3.5]]]),
        ((AGE, CITY), [[1.5, "Bern"], [2.5, None]], [[1.5, 2.5], ["Bern", None]]),
        ((IMAGE,), [[[[1.0], [2.0]]], [[[3.0], [4.0]]]], [[[[1.0], [2.0]], [[3.0], [4.0]]]]),
        ((Field(name="rows", dtype="int8"),), [[-7], [8]], [[[-7], [8]]]),
    ],
)
def test_rows_reach_the_model_as_they_were(fields: tuple[Field, ...], rows: list[Any], columns: list[Any]) -> None:
    heads, payload = encoded(signature(*fields), rows)
    arrived = unpack(heads, memoryview(b"".join(payload)))
    for got, expected in zip(arrived, columns, strict=True):
        np.testing.assert_array_equal(np.array(got), np.array(expected))


def test_answers_are_read_as_a_client_reads_them_and_those_that_are_not_finite_are_dropped() -> None:
    heads = (
        TensorHead("kind", "int32", (3,)),
        TensorHead("sizes", "float32", (3, 2)),
        TensorHead("confidence", "float64", (3,)),
    )
    payload = (
        np.array([1, 0, 1], "<i4").tobytes() + np.arange(6, dtype="<f4").tobytes() + np.array([0.5, 0.6, 0.7]).tobytes()
    )
    output = Output(
        fields=(OutputField(name="kind", classes=("a", "b")), OutputField(name="sizes", shape=(2,))), probabilities=True
    )
    given = answered(Answer(1, 0.1, heads, failed=(1,)), memoryview(payload), output, [["x"], ["y"], ["z"]])
    assert given == [Answered(["x"], ["b", [0.0, 1.0]], 0.5), Answered(["z"], ["b", [4.0, 5.0]], 0.7)]
