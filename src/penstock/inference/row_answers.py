"""The answer to one row, as it is kept: taken out of a result, and put together with others again."""

import sys
from collections.abc import Callable, Sequence
from itertools import accumulate
from operator import mul
from typing import Any

from penstock.inference.ticket import Result
from penstock.model.signature import Signature

NUMBER_BYTES = 40  # with its place in a list
LIST_BYTES = 96

Column = Sequence[Any]
Columns = Sequence[Column]
"""The answers to several rows, with a column for each part of a `RowAnswer`."""
NONE: Columns = ()
Span = tuple[int, int]
"""From which row of a batch on, and up to which."""
RowAnswer = tuple[Any, ...]
"""The answer to a row: confidence, probabilities and ranks, each of which may be None, and then the value of each
field. A plain tuple, of which there are many: where it holds but numbers, the garbage collector lets it be."""


def answers_of(result: Result | None, rows: int) -> Columns:
    """The answers to so many rows; `NONE` where there is no result, or something else in it."""
    if result is None:
        return NONE
    return columns((result.confidence, result.probabilities, result.ranks, *result.outputs), rows)


def columns(parts: Sequence[Column | None], rows: int) -> Columns:
    """The answers to so many rows, of a request or a whole batch, of whose parts some may be missing. `NONE` where
    there are not as many of everything: the host has answered something else."""
    whole = [[None] * rows if column is None else column for column in parts]
    return whole if all(len(column) == rows for column in whole) else NONE


def picked(answers: Columns, spans: Sequence[Span]) -> Columns:
    """Some of the answers, in this order."""
    return [[value for start, end in spans for value in column[start:end]] for column in answers]


def apart(answers: Columns) -> list[RowAnswer]:
    """The answer to each row."""
    return list(zip(*answers, strict=True))


def together(parts: Sequence[RowAnswer], queue_s: float, inference_s: float, cached: int) -> Result:
    """The answer to several rows, in this order, for which one waited so long; so many were kept from before."""
    confidence, probabilities, ranks, *outputs = map(list, zip(*parts, strict=True))
    first = parts[0]
    return Result(
        outputs,
        None if first[0] is None else confidence,
        None if first[1] is None else probabilities,
        queue_s,
        inference_s,
        None if first[2] is None else ranks,
        0,
        cached,
    )


def again(part: RowAnswer) -> Result:
    """The answer to the only row of a request, kept from before: no model took any time for it."""
    confidence, probabilities, ranks, *values = part
    return Result(
        [[value] for value in values],
        None if confidence is None else [confidence],
        None if probabilities is None else [probabilities],
        0.0,
        0.0,
        None if ranks is None else [ranks],
        0,
        1,
    )


def weigher(signature: Signature) -> Callable[[Result], int]:
    """What the values of an answer of this kind weigh, in bytes, as lists of Python's numbers or text."""
    of_row = row_bytes(signature)
    if of_row is None:
        return lambda result: sum(map(_weight, (*result.outputs, result.probabilities, result.ranks)))
    return lambda result: of_row * len(result.outputs[0])


def weigh(answer: RowAnswer) -> int:
    """What the values of one row's answer weigh, in bytes."""
    return sum(map(_weight, answer))


def row_bytes(signature: Signature) -> int | None:
    """What each row's values weigh, in bytes; None where that depends on them."""
    fields, classes = signature.output.fields, signature.output.fields[0].classes or ()
    if any(field.dtype == "string" or None in field.shape for field in fields if not field.classes):
        return None
    values = sum(_shape_bytes(field.shape) for field in fields)
    return values + NUMBER_BYTES + _shape_bytes((len(classes),)) if signature.output.probabilities else values


def _shape_bytes(shape: Sequence[int | None]) -> int:
    """What lists in lists of numbers take."""
    sizes = list(accumulate([length or 1 for length in shape], mul, initial=1))
    return LIST_BYTES * sum(sizes[:-1]) + NUMBER_BYTES * sizes[-1]


def _weight(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, list):
        return LIST_BYTES + sum(map(_weight, value))
    return NUMBER_BYTES + (sys.getsizeof(value) if isinstance(value, str) else 0)
