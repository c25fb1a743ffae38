"""Rows on their way to a model: packed as the wire wants them, in the order of `Signature.tensors()`."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from penstock.model.batch import TensorHead
from penstock.model.frames import Buffer
from penstock.model.signature import Tensor

Column = Buffer | list[Any]
"""One tensor of some rows: raw little-endian bytes, or a list of str or None for text."""


class Rows(Struct, frozen=True):
    """`count` rows as one column a tensor. `shapes` are the row shapes where a tensor's shape varies, else None."""

    count: int
    columns: Sequence[Column]
    shapes: tuple[tuple[int, ...], ...] | None = None

    @property
    def nbytes(self) -> int:
        """What these rows weigh in a queue, in bytes; text is counted by its characters."""
        nbytes = 0
        for column in self.columns:
            nbytes += sum([len(text) for text in column if text]) if isinstance(column, list) else len(column)
        return nbytes

    def shape(self, index: int, tensor: Tensor) -> tuple[int, ...]:
        """The shape of one row of the tensor at `index`."""
        return self.shapes[index] if self.shapes is not None else tensor.shape  # type: ignore[return-value] # no None


def concatenated(parts: Sequence[Rows]) -> Rows:
    """The rows of several requests, whose shapes are the same, as those of one."""
    if len(parts) == 1:
        return parts[0]
    columns: list[Column] = []
    for column in zip(*[part.columns for part in parts], strict=True):
        if isinstance(column[0], list):
            columns.append([text for texts in column for text in texts])
        else:
            columns.append(b"".join(column))
    return Rows(sum([part.count for part in parts]), columns, parts[0].shapes)


def picked(rows: Rows, which: Sequence[int]) -> Rows:
    """These of the rows, by their places, in this order."""
    if len(which) == rows.count and list(which) == list(range(rows.count)):
        return rows
    columns: list[Column] = []
    for column in rows.columns:
        if isinstance(column, list):
            columns.append([column[at] for at in which])
        else:
            size = len(column) // rows.count
            columns.append(b"".join([column[at * size : (at + 1) * size] for at in which]))
    return Rows(len(which), columns, rows.shapes)


def join(tensors: Sequence[Tensor], parts: Sequence[Rows]) -> tuple[tuple[TensorHead, ...], list[Buffer]]:
    """The rows of several requests as one batch: the heads of its tensors and its payload.

    Nothing is copied: the payload lists the requests' own buffers, tensor by tensor.
    """
    count = sum([part.count for part in parts])
    heads: list[TensorHead] = []
    payload: list[Buffer] = []
    for i, tensor in enumerate(tensors):
        shape = (count, *parts[0].shape(i, tensor))
        columns = [part.columns[i] for part in parts]
        if tensor.dtype == "string":
            heads.append(TensorHead(tensor.name, "string", shape, [text for column in columns for text in column]))
        else:
            heads.append(TensorHead(tensor.name, tensor.dtype, shape))
            payload += columns  # type: ignore[arg-type] # raw bytes, as the dtype is not string
    return tuple(heads), payload


def join_plain(tensors: Sequence[Tensor], parts: Sequence[Rows]) -> list[Buffer]:
    """The payload alone, of rows without text."""
    return [part.columns[i] for i in range(len(tensors)) for part in parts]  # type: ignore[misc] # raw bytes
