"""The answer to one row, as it is kept: taken out of a result, and put together with others again."""

import sys
from collections.abc import Callable, Sequence
from itertools import repeat
from math import prod
from typing import Any

from penstock.inference.ticket import Result
from penstock.model.signature import Signature

NUMBER_BYTES = 32  # with its place in a list
ANSWER_BYTES = 360
"""Of the answer to a row beside its values: its place among the others."""

Column = Sequence[Any]
RowAnswer = tuple[Any, ...]
"""The answer to a row: confidence, probabilities and ranks, each of which may be None, and then the value of each
field. A plain tuple, of which there are many: where it holds but numbers, the garbage collector lets it be."""


def rows_of(result: Result | None, count: int) -> list[RowAnswer]:
    """The answer to each of so many rows; none where there is no result, or not as many of everything."""
    if result is None:
        return []
    return apart(result.outputs, (result.confidence, result.probabilities, result.ranks), count)


def apart(fields: Sequence[Column], beside: Sequence[Column | None], count: int) -> list[RowAnswer]:
    """The answer to each of so many rows, of a request or a whole batch; `beside` the fields there are confidence,
    probabilities and ranks. None where there are not as many of everything: the host has answered something else."""
    stated = [repeat(None, count) if column is None else column for column in beside]
    try:
        answers = list(zip(*stated, *fields, strict=True))
    except ValueError:
        return []
    return answers if len(answers) == count else []


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
        return lambda result: sum(map(_weight, result.outputs))
    return lambda result: of_row * len(result.outputs[0])


def weigh(answer: RowAnswer) -> int:
    """What the values of one row's answer weigh, in bytes."""
    return sum(map(_weight, answer[3:]))


def row_bytes(signature: Signature) -> int | None:
    """What each row's values weigh, in bytes; None where that depends on them."""
    fields, classes = signature.output.fields, signature.output.fields[0].classes or ()
    if any(field.dtype == "string" or None in field.shape for field in fields if not field.classes):
        return None
    stated = len(classes) if signature.output.probabilities else 0
    return NUMBER_BYTES * (stated + sum(prod(length or 1 for length in field.shape) for field in fields))


def _weight(value: object) -> int:
    if isinstance(value, list):
        return NUMBER_BYTES + sum(map(_weight, value))
    return NUMBER_BYTES + (sys.getsizeof(value) if isinstance(value, str) else 0)
