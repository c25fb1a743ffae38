"""Rows as a model's process takes them, and its answers as a client reads them."""

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from penstock.cli.probe import CODES
from penstock.model.batch import Answer, TensorHead
from penstock.model.signature import Output, Signature, Tensor

Row = Sequence[Any]
"""A value for each field: a scalar, None, or nested lists for a field with a shape."""


class Answered(NamedTuple):
    """A row and what the model answered to it."""

    row: Row
    prediction: Any
    confidence: float | None


def encoded(signature: Signature, rows: Sequence[Row]) -> tuple[tuple[TensorHead, ...], list[bytes]]:
    """The rows as a batch: the heads of its tensors and its payload. Open lengths are those of the first row."""
    heads: list[TensorHead] = []
    payload: list[bytes] = []
    at = 0
    for tensor in signature.tensors():
        width = len(tensor.fields)
        columns = [row[at : at + width] for row in rows]
        at += width
        values = [value for column in columns for value in _flat(column)]
        shape = (len(rows), *_shape(tensor, columns[0]))
        if tensor.dtype == "string":
            heads.append(TensorHead(tensor.name, "string", shape, values))
            continue
        numbers = [math.nan if value is None else value for value in values]
        heads.append(TensorHead(tensor.name, tensor.dtype, shape))
        payload.append(struct.pack(f"<{len(numbers)}{CODES[tensor.dtype]}", *numbers))
    return tuple(heads), payload


def answered(answer: Answer, payload: memoryview, output: Output, rows: Sequence[Row]) -> list[Answered]:
    """The answer to each row, but for those whose answers are not finite."""
    columns = list(_columns(answer, payload))
    named = {
        head.name: column
        for head, column in zip(answer.tensors[len(output.fields) :], columns[len(output.fields) :], strict=True)
    }
    labels = [
        column if field.classes is None else [field.classes[index] for index in column]
        for field, column in zip(output.fields, columns, strict=False)
    ]
    confidences = named.get("confidence") or [None] * len(rows)
    predictions = labels[0] if len(labels) == 1 else [list(each) for each in zip(*labels, strict=True)]
    told = zip(rows, predictions, confidences, strict=True)
    return [Answered(*each) for number, each in enumerate(told) if number not in answer.failed]


def _columns(answer: Answer, payload: memoryview) -> Iterator[list[Any]]:
    at = 0
    for head in answer.tensors:
        flat = head.text
        if flat is None:
            form = struct.Struct(f"<{math.prod(head.shape)}{CODES[head.dtype]}")
            flat = list(form.unpack_from(payload, at))
            at += form.size
        yield nested(flat, head.shape)


def nested(flat: list[Any], shape: Sequence[int]) -> list[Any]:
    """The values as lists within lists of those lengths."""
    for length in reversed(shape[1:]):
        flat = [flat[i : i + length] for i in range(0, len(flat), length)]
    return flat


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _flat(each)
    else:
        yield value


def _shape(tensor: Tensor, column: Any) -> tuple[int, ...]:
    """The shape of one row of the tensor."""
    if not tensor.fields[0].shape:
        return tuple(length or 1 for length in tensor.shape)
    lengths: list[int] = []
    value = column[0]
    while isinstance(value, list):
        lengths.append(len(value))
        value = value[0]
    return tuple(lengths)
