"""A host's answer to a batch, taken apart into what each request gets."""

import math
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from penstock.errors import ModelFailed
from penstock.inference.ticket import Result, Ticket
from penstock.model.batch import Answer, TensorHead

CODES = {
    "float64": "d", "float32": "f", "int64": "q", "int32": "i", "int16": "h", "int8": "b",
    "uint64": "Q", "uint32": "I", "uint16": "H", "uint8": "B", "bool": "?",
}  # fmt: skip
"""What `memoryview` calls the dtypes that it can turn into lists, sooner than numpy does."""


SIZES = {code: np.dtype(code).itemsize for code in (*CODES, "float16")}


class Outputs(NamedTuple):
    """A batch's answer as lists with one entry a row. `raw` are the bytes of the numeric tensors, by name."""

    fields: list[list[Any]]
    confidence: list[float] | None
    probabilities: list[list[float]] | None
    raw: dict[str, memoryview]
    ranks: list[list[int]] | None = None


def unpack(heads: Sequence[TensorHead], payload: memoryview, outputs: int = 1) -> Outputs:
    """The tensors of an answer, of which the first so many are the model's `outputs`, whatever they are called. The
    views in `raw` share `payload`'s memory.

    Raises ValueError where the payload is not what the heads say.
    """
    fields: list[list[Any]] = []
    named: dict[str, list[Any]] = {}
    raw: dict[str, memoryview] = {}
    start = 0
    for head in heads:
        values, end = _values(head, payload, start)
        raw[head.name] = payload[start:end]
        start = end
        if len(fields) < outputs:
            fields.append(values)
        else:
            named[head.name] = values
    if start != len(payload):
        raise ValueError("the payload holds something else than the tensors")
    return Outputs(fields, named.get("confidence"), named.get("probabilities"), raw, named.get("ranks"))


def _values(head: TensorHead, payload: memoryview, start: int) -> tuple[list[Any], int]:
    """One tensor as nested lists, and where its bytes end."""
    if head.text is not None:
        return np.array(head.text, dtype=object).reshape(head.shape).tolist(), start
    code: Any = CODES.get(head.dtype)
    end = start + math.prod(head.shape) * SIZES[head.dtype]
    view = payload[start:end]
    if code is None or start == end:
        return np.frombuffer(view, head.dtype).reshape(head.shape).tolist(), end
    return (view.cast(code) if len(head.shape) == 1 else view.cast(code, head.shape)).tolist(), end


def hand_out(tickets: Sequence[Ticket], answer: Answer, outputs: Outputs) -> list[Exception]:
    """Gives every request its own rows, and an error to those with a row that must not be handed out.

    Returns what went wrong where one was told, which costs no other its answer.
    """
    start = 0
    faults: list[Exception] = []
    failed = deque(answer.failed)  # in the order of the rows
    for ticket in tickets:
        end = start + ticket.rows.count
        good = not failed or failed[0] >= end
        while failed and failed[0] < end:
            failed.popleft()
        try:
            if good:
                ticket.answer(_part(outputs, start, end, ticket, answer.seconds))
            else:
                ticket.fail(ModelFailed("The model's answer to this request is not a finite number."))
        except Exception as fault:  # noqa: BLE001  # whatever it is, the next one waits for its answer
            faults.append(fault)
        start = end
    return faults


def _part(outputs: Outputs, start: int, end: int, ticket: Ticket, seconds: float) -> Result:
    return Result(
        [field[start:end] for field in outputs.fields],
        outputs.confidence[start:end] if outputs.confidence is not None else None,
        outputs.probabilities[start:end] if ticket.probabilities and outputs.probabilities is not None else None,
        ticket.sent_at - ticket.queued_at,
        seconds,
        outputs.ranks[start:end] if ticket.probabilities and outputs.ranks is not None else None,
        len(outputs.fields[0]),
    )
