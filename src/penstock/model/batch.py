"""What a front and a host say to each other about a batch of rows."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Struct

from penstock.model.signature import DType, Output, Tensor

BATCH = 1  # kinds of frames
ANSWER = 2


class TensorHead(Struct, frozen=True, array_like=True):
    """The description of one tensor; its bytes follow in the payload, in the order of the heads.

    Numbers are row-major and little-endian in `dtype`; text (`dtype` "string") travels here, as a list of str or
    None, and has no bytes in the payload. `shape` includes the rows.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    text: list[Any] | None = None


class Batch(Struct, frozen=True, array_like=True):
    """Front to host: answer these rows. `probabilities`: the answer shall carry them.

    Nobody waits for the answer after `expires`, in seconds of the monotonic clock that all processes share.
    Without `tensors` they lie in the payload as the signature says, and so shall those of the answer.
    """

    id: int
    rows: int
    tensors: tuple[TensorHead, ...] = ()
    probabilities: bool = False
    expires: float = math.inf


class Answer(Struct, frozen=True, array_like=True):
    """Host to front: the answer to batch `id`.

    Without `error` there is one tensor for each field of the signature's output, in order, then "confidence"
    (float64, shape (rows,)) if the output has probabilities, then "probabilities" (float64, shape (rows, classes)) if
    asked for; `tensors` is empty if the batch's was. `failed` lists the rows whose outputs are not finite and must not
    be handed out. With `error`, a short sentence for the log, nothing of the batch was computed; nor where it had
    `expired` before its turn came. `seconds` is what the model took.
    """

    id: int
    seconds: float
    tensors: tuple[TensorHead, ...] = ()
    failed: tuple[int, ...] = ()
    error: str | None = None
    expired: bool = False


decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode


Heads = Callable[[int], tuple[TensorHead, ...]]
"""The heads of a batch of so many rows, where the signature says all but their number: they need not travel."""


def heads_of_inputs(tensors: Sequence[Tensor]) -> Heads | None:
    """The heads of a batch of these tensors, or None where they have to be sent: for text and for varying shapes."""
    return _heads([(tensor.name, tensor.dtype, tensor.shape) for tensor in tensors])


def heads_of_answer(output: Output) -> Heads | None:
    """The heads of an answer without probabilities, or None where they have to be sent."""
    fields: list[tuple[str, DType, tuple[int | None, ...]]] = [
        (field.name, "int32" if field.classes is not None else field.dtype, field.shape) for field in output.fields
    ]
    return _heads([*fields, ("confidence", "float64", ())] if output.probabilities else fields)


def _heads(tensors: Sequence[tuple[str, DType, tuple[int | None, ...]]]) -> Heads | None:
    if any(dtype == "string" or None in shape for _, dtype, shape in tensors):
        return None

    fixed = [(name, dtype, tuple(n for n in shape if n is not None)) for name, dtype, shape in tensors]

    @lru_cache(256)
    def heads(rows: int) -> tuple[TensorHead, ...]:
        return tuple(TensorHead(name, dtype, (rows, *shape)) for name, dtype, shape in fixed)

    return heads
