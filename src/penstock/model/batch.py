"""What a front and a host say to each other about a batch of rows."""

from typing import Any

import msgspec
from msgspec import Struct

from penstock.model.signature import DType

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
    """Front to host: answer these rows. `probabilities`: the answer shall carry them."""

    id: int
    rows: int
    tensors: tuple[TensorHead, ...]
    probabilities: bool = False


class Answer(Struct, frozen=True, array_like=True):
    """Host to front: the answer to batch `id`.

    Without `error` there is one tensor for each field of the signature's output, in order, then "confidence"
    (float64, shape (rows,)) if the output has probabilities, then "probabilities" (float64, shape (rows, classes)) if
    asked for. `failed` lists the rows whose outputs are not finite and must not be handed out. With `error`, a short
    sentence for the log, nothing of the batch was computed. `seconds` is what the model took.
    """

    id: int
    seconds: float
    tensors: tuple[TensorHead, ...] = ()
    failed: tuple[int, ...] = ()
    error: str | None = None


decode_batch = msgspec.msgpack.Decoder(Batch).decode
decode_answer = msgspec.msgpack.Decoder(Answer).decode
