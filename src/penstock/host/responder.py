"""The hot path: one batch in, one answer out."""

import math
import traceback
from collections.abc import Sequence
from time import monotonic, perf_counter
from typing import get_args

import numpy as np

from penstock.host.model import Column, Model
from penstock.host.outputs import Packer
from penstock.host.refusals import detail, ran_out
from penstock.model.batch import ANSWER, Answer, TensorHead, decode_batch, heads_of_inputs
from penstock.model.frames import Buffer, Frame, encode
from penstock.model.signature import DType, Signature

DTYPES = {name: np.dtype(name) for name in get_args(DType) if name != "string"}


class Responder:
    """Answers batches with one model.

    `exhausted`: two batches in a row found no memory. One may have been too large; after two a new process is needed.
    """

    def __init__(self, model: Model, signature: Signature) -> None:
        self._predict = model.predict
        self._pack = Packer(signature.output).pack
        self._plain = heads_of_inputs(signature.tensors()) or _none
        self.exhausted = self._starved = False

    def answer(self, frame: Frame) -> list[Buffer]:
        """The answer's frame, whatever the model does. Raises msgspec.DecodeError for a frame that is no batch."""
        batch = decode_batch(frame.header)
        if batch.expires <= monotonic():
            return encode(ANSWER, Answer(batch.id, 0.0, expired=True))
        started = perf_counter()
        try:
            tensors = unpack(batch.tensors or self._plain(batch.rows), frame.payload)
            outputs = self._predict(tensors, batch.rows, batch.probabilities)
            seconds = perf_counter() - started
            packed = self._pack(outputs, batch.rows)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # even `sys.exit` fails a batch and not the process
            traceback.print_exc()
            starved, self._starved = self._starved, ran_out(error)
            self.exhausted = starved and self._starved
            return encode(ANSWER, Answer(batch.id, perf_counter() - started, error=detail(error)))
        self._starved = False
        heads = tuple(packed.heads) if batch.tensors else ()
        return encode(ANSWER, Answer(batch.id, seconds, heads, tuple(sorted(packed.failed))), packed.payload)


def _none(rows: int) -> tuple[TensorHead, ...]:
    """The heads where the signature does not say them: whoever sends none makes no sense."""
    return ()


def unpack(heads: Sequence[TensorHead], payload: memoryview) -> list[Column]:
    """The tensors that the heads describe, each in memory of its own: the payload is overwritten by the next frame."""
    tensors: list[Column] = []
    at = 0
    for head in heads:
        if head.text is None:
            dtype = DTYPES[head.dtype]
            tensors.append(np.ndarray(head.shape, dtype, payload, at).copy())
            at += math.prod(head.shape) * dtype.itemsize
        elif len(head.shape) == 1:
            tensors.append(head.text)
        else:
            tensors.append(np.array(head.text, dtype=object).reshape(head.shape))
    return tensors
