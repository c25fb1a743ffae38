"""The answer to one row, as it is kept: a result of its own, and several of them put together again."""

import sys
from collections.abc import Callable, Sequence
from math import prod

from penstock.inference.ticket import Result
from penstock.model.signature import Signature

NUMBER_BYTES = 32  # with its place in a list
RESULT_BYTES = 700
"""Of the answer to a row beside its values: the lists in which they lie, and its place among the others."""


def apart(result: Result) -> list[Result]:
    """The answer to each row, as it will be told again: no model takes any time for it, and it is of no batch."""
    if len(result.outputs[0]) == 1:
        return [Result(result.outputs, result.confidence, result.probabilities, 0.0, 0.0, result.ranks, 0, 1)]
    confidence, probabilities, ranks = result.confidence, result.probabilities, result.ranks
    return [
        Result(
            [[value] for value in values],
            None if confidence is None else confidence[at : at + 1],
            None if probabilities is None else probabilities[at : at + 1],
            0.0,
            0.0,
            None if ranks is None else ranks[at : at + 1],
            0,
            1,
        )
        for at, values in enumerate(zip(*result.outputs, strict=True))
    ]


def together(parts: Sequence[Result], queue_s: float, inference_s: float, cached: int) -> Result:
    """The answer to several rows, in this order, for which one waited so long; so many were kept from before."""
    first = parts[0]
    if len(parts) == 1:
        return Result(
            first.outputs, first.confidence, first.probabilities, queue_s, inference_s, first.ranks, 0, cached
        )
    return Result(
        [[part.outputs[at][0] for part in parts] for at in range(len(first.outputs))],
        None if first.confidence is None else [part.confidence[0] for part in parts if part.confidence],
        None if first.probabilities is None else [part.probabilities[0] for part in parts if part.probabilities],
        queue_s,
        inference_s,
        None if first.ranks is None else [part.ranks[0] for part in parts if part.ranks],
        0,
        cached,
    )


def weigher(signature: Signature) -> Callable[[Result], int]:
    """What the values of an answer of this kind weigh, in bytes, as lists of Python's numbers or text."""
    fields, classes = signature.output.fields, signature.output.fields[0].classes or ()
    if any(field.dtype == "string" or None in field.shape for field in fields if not field.classes):
        return lambda result: sum(map(_weight, result.outputs))
    stated = len(classes) if signature.output.probabilities else 0
    of_row = NUMBER_BYTES * (stated + sum(prod(length or 1 for length in field.shape) for field in fields))
    return lambda result: of_row * len(result.outputs[0])


def _weight(value: object) -> int:
    if isinstance(value, list):
        return NUMBER_BYTES + sum(map(_weight, value))
    return NUMBER_BYTES + (sys.getsizeof(value) if isinstance(value, str) else 0)
