"""The answers of the native dialect, and how a result becomes one."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from penstock.inference.ticket import Result
from penstock.model.signature import OutputField, Signature

encode = msgspec.json.Encoder().encode


class Prediction(Struct):
    """The answer to `/predict`."""

    prediction: Any
    confidence: float | None
    latency_ms: float
    timestamp: str
    model: str
    model_version: str
    probabilities: list[float] | UnsetType = UNSET


class Predictions(Struct):
    """The answer to `/predict-batch`: one entry a row, in the order of the rows."""

    predictions: list[Any]
    confidences: Sequence[float | None]
    latency_ms: float
    timestamp: str
    model: str
    model_version: str
    probabilities: list[list[float]] | UnsetType = UNSET


class Labels:
    """Turns the outputs of a signature into predictions: indices into labels, several outputs into lists."""

    def __init__(self, signature: Signature) -> None:
        self._fields = signature.output.fields

    def of(self, result: Result) -> list[Any]:
        """One prediction a row."""
        columns = [_values(field, column) for field, column in zip(self._fields, result.outputs, strict=True)]
        return columns[0] if len(columns) == 1 else [list(row) for row in zip(*columns, strict=True)]


def _values(field: OutputField, column: list[Any]) -> list[Any]:
    classes = field.classes
    return column if classes is None else list(map(classes.__getitem__, column))
