"""Examples: rows that work when sent, made up inside the ranges and categories that a signature states, and answers."""

import math
from collections.abc import Sequence
from typing import Any

from penstock.model.context import Context, own_part
from penstock.model.numbers import BEYOND, INTEGERS, bounds
from penstock.model.signature import Field, OutputField, Signature

LARGEST = 1_000
"""Values of a row from which on an example would fill the page and help nobody."""

ANY_LENGTH = 2
ROWS = 2

Row = list[Any] | dict[str, Any]


def single_examples(signature: Signature) -> dict[str, Any]:
    """Bodies of `/predict` by a short name for each way to write a row; none where a row is very large."""
    return {way: {"features": row(signature, 0, way=way)} for way in ways(signature)}


def batch_examples(signature: Signature) -> dict[str, Any]:
    """The same of `/predict-batch`."""
    return {way: {"batch": [row(signature, i, way=way) for i in range(ROWS)]} for way in ways(signature)}


def context_examples(signature: Signature, contexts: Sequence[Context]) -> dict[str, Any]:
    """The same of `/predict-with-context`, which takes rows by name alone."""
    own = own_part(signature, contexts)
    keys = {context.key: entity(context.key) for context in contexts}
    if not own.inputs:
        return {"all from stores": keys}
    return {"by name": {**keys, "features": row(own, 0, way="by name")}} if ways(own) else {}


def entity(key: str) -> str:
    """What might be looked up by a key: device-1 by device_id. What there is in a store is not told here: it may
    be the name of a person."""
    return f"{key.removesuffix('_id')}-1"


def ways(signature: Signature) -> tuple[str, ...]:
    """The ways to write a row, the more natural one first: by name only where the names are the model's own."""
    if sum(size(field) for field in signature.inputs) > LARGEST:
        return ()
    return ("by name", "in order") if signature.named else ("in order", "by name")


def row(signature: Signature, number: int, *, way: str) -> Row:
    """One row; another `number` gives other values where there are any."""
    values = [value(field, number) for field in signature.inputs]
    if way == "by name":
        return {field.name: v for field, v in zip(signature.inputs, values, strict=True)}
    bare: Row = values[0] if len(values) == 1 and signature.inputs[0].shape else values
    return bare


def recipe(signature: Signature) -> str:
    """A row by name as an expression of Python with numpy: the example of rows too large to be written out."""
    made = (f"{field.name!r}: np.full({_lengths(field)}, {scalar(field)!r}).tolist()" for field in signature.inputs)
    return "{" + ", ".join(made) + "}"


def answer(model: str, version: str, signature: Signature) -> dict[str, Any] | None:
    """What an answer to the first example may look like; none where it is very large."""
    if sum(size(field) for field in signature.output.fields) > LARGEST:
        return None
    return {"prediction": _prediction(signature, 0), "confidence": _confidence(signature), **_ending(model, version)}


def batch_answer(model: str, version: str, signature: Signature) -> dict[str, Any] | None:
    """The same of `/predict-batch`."""
    if ROWS * sum(size(field) for field in signature.output.fields) > LARGEST:
        return None
    predictions = [_prediction(signature, number) for number in range(ROWS)]
    return {"predictions": predictions, "confidences": [_confidence(signature)] * ROWS, **_ending(model, version)}


def _prediction(signature: Signature, number: int) -> Any:
    values = [_nested(_output(field, number), field) for field in signature.output.fields]
    return values[0] if len(values) == 1 else values


def _output(field: OutputField, number: int) -> Any:
    if field.classes:
        return field.classes[number % len(field.classes)]
    return scalar(Field(name=field.name, dtype=field.dtype, range=_within(field)), number)


def _within(field: OutputField) -> tuple[float, float] | None:
    """A range of which the ends are those of the field, as far as it has any."""
    low, high = field.clip or (None, None)
    if low is None:
        return None if high is None else (min(0.0, high), high)
    return low, max(2.0, low) if high is None else high


def _confidence(signature: Signature) -> float | None:
    return 0.97 if signature.output.probabilities else None


def _ending(model: str, version: str) -> dict[str, Any]:
    moment = "2026-11-23T09:30:00.000Z"
    return {"latency_ms": 0.513, "timestamp": moment, "model": model, "model_version": version}


def value(field: Field, number: int = 0) -> Any:
    """A scalar or a nested list that `field` takes."""
    return _nested(scalar(field, number), field)


def scalar(field: Field, number: int = 0) -> Any:
    """A single value of `field`, whatever its shape."""
    if field.categories:
        return field.categories[number % len(field.categories)]
    if field.dtype == "string":
        return ("some text", "another text")[number % 2]
    if field.dtype == "bool":
        return number % 2 == 0
    inside = _inside(field, (0.5, 0.25)[number % 2])
    if field.dtype in INTEGERS:
        least, greatest = bounds(field)
        return min(max(math.ceil(inside), least), greatest)
    beyond = BEYOND[field.dtype]
    return inside if -beyond < inside < beyond else 0.0


def _inside(field: Field, share: float) -> float:
    """A number with few digits, that share of the way through the range."""
    low, high = field.range or (0.0, 2.0)
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        return 1.0
    exact = low * (1 - share) + high * share
    short = float(f"{exact:.3g}")
    return short if low <= short <= high else exact


def _nested(made: Any, field: Field | OutputField) -> Any:
    for length in reversed(_lengths(field)):
        made = [made] * length
    return made


def size(field: Field | OutputField) -> int:
    """How many values of `field` an example of it holds."""
    return math.prod(_lengths(field))


def _lengths(field: Field | OutputField) -> tuple[int, ...]:
    return tuple(ANY_LENGTH if length is None else length for length in field.shape)
