"""The answers of the native dialect, and how a result becomes one."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

from penstock.inference.ticket import Result
from penstock.model.signature import Label, OutputField, Signature

encode = msgspec.json.Encoder().encode


class Chance(Struct):
    """One class, of those that are told, and its probability."""

    label: Label = field(name="class")
    probability: float


Chances = list[float] | list[Chance]
"""The probability of each class in order, or with `top_k` the likeliest classes and theirs."""


class Prediction(Struct):
    """The answer to `/predict`."""

    prediction: Any
    confidence: float | None
    latency_ms: float
    timestamp: str
    model: str
    model_version: str
    probabilities: Chances | UnsetType = UNSET


class Predictions(Struct):
    """The answer to `/predict-batch`: one entry a row, in the order of the rows."""

    predictions: list[Any]
    confidences: Sequence[float | None]
    latency_ms: float
    timestamp: str
    model: str
    model_version: str
    probabilities: Sequence[Chances] | UnsetType = UNSET


class Labels:
    """Turns the outputs of a signature into predictions: indices into labels, several outputs into lists."""

    def __init__(self, signature: Signature) -> None:
        self._fields = signature.output.fields
        self._classes = self._fields[0].classes or ()

    def chances(self, result: Result) -> Sequence[Chances] | None:
        """The probabilities of each row, if they were asked for and are stated."""
        if result.ranks is None or result.probabilities is None:
            return result.probabilities
        return [self._ranked(*row) for row in zip(result.ranks, result.probabilities, strict=True)]

    def _ranked(self, ranks: list[int], stated: list[float]) -> list[Chance]:
        return [Chance(self._classes[rank], chance) for rank, chance in zip(ranks, stated, strict=True)]

    def of(self, result: Result) -> list[Any]:
        """One prediction a row."""
        if len(self._fields) == 1:
            return _values(self._fields[0], result.outputs[0])
        columns = [_values(field, column) for field, column in zip(self._fields, result.outputs, strict=True)]
        return [list(row) for row in zip(*columns, strict=True)]


def _values(field: OutputField, column: list[Any]) -> list[Any]:
    classes = field.classes
    return column if classes is None else [classes[index] for index in column]
