"""From results to answers: labels for indices, lists for several outputs, and names for the likeliest classes."""

import json

from penstock.inference.ticket import Result
from penstock.interface.answers import Labels, Prediction, encode
from penstock.model.signature import Field, Output, OutputField, Signature

STATED = [[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]]


def labels(*fields: OutputField, **said: int) -> Labels:
    return Labels(Signature(inputs=(Field(name="x"),), output=Output(fields=fields, probabilities=True, **said)))


COLOURS = OutputField(name="colour", classes=("red", "green", "blue"))


def test_an_index_is_a_label_and_several_outputs_are_a_list() -> None:
    result = Result([[1, 0]], None, None, 0.0, 0.0)
    assert labels(COLOURS).of(result) == ["green", "red"]
    both = Result([[1, 0], [0.5, 1.5]], None, None, 0.0, 0.0)
    assert labels(COLOURS, OutputField(name="size")).of(both) == [["green", 0.5], ["red", 1.5]]


def test_probabilities_are_all_of_them_in_order() -> None:
    result = Result([[1, 0]], [0.6, 0.5], STATED, 0.0, 0.0)
    assert labels(COLOURS).chances(result) == STATED
    assert labels(COLOURS).chances(result._replace(probabilities=None)) is None


def test_or_the_likeliest_by_name() -> None:
    result = Result([[1, 0]], [0.6, 0.5], [[0.6, 0.3], [0.5, 0.3]], 0.0, 0.0, [[1, 2], [0, 2]])
    chances = labels(COLOURS, top_k=2).chances(result)
    assert chances is not None
    body = encode(Prediction("green", 0.6, 0.1, "now", "m", "1", chances[0]))
    assert json.loads(body)["probabilities"] == [
        {"class": "green", "probability": 0.6},
        {"class": "blue", "probability": 0.3},
    ]
