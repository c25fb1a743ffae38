"""Rows as a client writes them, and what a host answers to them, over the frames that pass between front and host."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from penstock.host.responder import Responder, unpack
from penstock.host.rows import batch, row_of
from penstock.model.batch import BATCH, Batch, TensorHead, decode_answer
from penstock.model.frames import PREFIX, Buffer, Frame, encode
from penstock.model.signature import Signature


def features(rows: Any, names: Sequence[str]) -> list[Any]:
    """The rows as JSON has them: a list each, or an object where the columns have names; null for a gap."""
    if isinstance(rows, pd.DataFrame):
        return [{name: _plain(row[name]) for name in names} for row in rows.to_dict("records")]
    return [[_plain(value) for value in (row if isinstance(row, np.ndarray) else [row])] for row in rows]


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value  # NaN is not itself


def ask(responder: Responder, signature: Signature, rows: Sequence[Any]) -> list[Any]:
    """The columns of the answer to these features: one an output, then confidence and probabilities if any."""
    tensors = signature.tensors()
    columns = batch(tensors, signature.inputs, [row_of(row, signature.inputs) for row in rows])
    heads, payload = [], []
    for tensor, column in zip(tensors, columns, strict=True):
        if isinstance(column, list):
            heads.append(TensorHead(tensor.name, "string", (len(column),), column))
        else:
            heads.append(TensorHead(tensor.name, tensor.dtype, column.shape))
            payload.append(column.tobytes())
    question = _frame(encode(BATCH, Batch(1, len(rows), tuple(heads), True), payload))
    reply = _frame(responder.answer(question))
    answer = decode_answer(reply.header)
    assert answer.error is None, answer.error
    assert not answer.failed, "an answer is not finite"
    return unpack(answer.tensors, reply.payload)


def _frame(buffers: Sequence[Buffer]) -> Frame:
    data = memoryview(b"".join(buffers))
    _, kind, header, _ = PREFIX.unpack_from(data)
    return Frame(kind, data[PREFIX.size : PREFIX.size + header], data[PREFIX.size + header :])
