"""The answer to one row, as it is kept: taken out of a result, and put together with others again."""

import sys
from collections.abc import Callable, Sequence
from itertools import repeat
from math import prod
from typing import Any

from penstock.inference.ticket import Result
from penstock.model.signature import Signature

NUMBER_BYTES = 32  # with its place in a list
ANSWER_BYTES = 440
"""Of the answer to a row beside its values: its place among the others."""

RowAnswer = tuple[Any, ...]
"""The answer to a row: confidence, probabilities and ranks, each of which may be None, and then the value of each
field. A plain tuple, of which there are many: where it holds but numbers, the garbage collector lets it be."""


def apart(result: Result) -> list[RowAnswer]:
    """The answer to each row. Raises ValueError where there are not as many of everything."""
    outputs, confidence, probabilities, ranks = result.outputs, result.confidence, result.probabilities, result.ranks
    count = len(outputs[0])
    if count == len(outputs) == 1:  # the usual one, which is waited for
        return [(confidence and confidence[0], probabilities and probabilities[0], ranks and ranks[0], outputs[0][0])]
    beside = [repeat(None, count) if column is None else column for column in (confidence, probabilities, ranks)]
    return list(zip(*beside, *outputs, strict=True))


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
    of_row = _row_bytes(signature)
    if of_row is None:
        return lambda result: sum(map(_weight, result.outputs))
    return lambda result: of_row * len(result.outputs[0])


def row_weigher(signature: Signature) -> Callable[[RowAnswer], int]:
    """As `weigher`, of the answer to one row."""
    of_row = _row_bytes(signature)
    if of_row is None:
        return lambda answer: sum(map(_weight, answer[3:]))
    return lambda answer: of_row


def _row_bytes(signature: Signature) -> int | None:
    """What each row's values weigh; None where that depends on them."""
    fields, classes = signature.output.fields, signature.output.fields[0].classes or ()
    if any(field.dtype == "string" or None in field.shape for field in fields if not field.classes):
        return None
    stated = len(classes) if signature.output.probabilities else 0
    return NUMBER_BYTES * (stated + sum(prod(length or 1 for length in field.shape) for field in fields))


def _weight(value: object) -> int:
    if isinstance(value, list):
        return NUMBER_BYTES + sum(map(_weight, value))
    return NUMBER_BYTES + (sys.getsizeof(value) if isinstance(value, str) else 0)
