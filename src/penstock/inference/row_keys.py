"""Rows as keys: the same bytes for what is the same to the model, and others for anything else."""

from collections.abc import Sequence
from hashlib import blake2b
from math import prod
from struct import Struct

from penstock.inference.outputs import SIZES
from penstock.inference.rows import Column, Rows
from penstock.model.signature import Tensor

LONGEST = 256  # bytes of a key; of a larger row it is the digest
DIGEST = 32
NULL = b"\xff\xff\xff\xff"
_length = Struct("<I").pack


class RowKeys:
    """Makes the keys of one signature's rows.

    Numbers count by their bytes, as the model gets them: 0.0 and -0.0 are two, and so are NaNs of different bits. Text
    has its length before it, null is none of any length, and shapes that vary are part of the key: no two rows run
    into one.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        of_row = _row_bytes(tensors)
        self.nbytes = of_row and min(of_row, LONGEST) + 2
        """The most that a key takes with its marks; None where that depends on the row."""
        self._is_plain = len(tensors) == 1 and of_row is not None
        self._is_short = self._is_plain and of_row is not None and of_row <= LONGEST

    def of(self, rows: Rows, *, probabilities: bool) -> list[bytes]:
        """One key a row. An answer with probabilities is another than one without."""
        if self._is_short and rows.count == 1:
            key = bytes(rows.columns[0])
            return [key + b"p" if probabilities else key]
        keys = _slices(rows.columns[0], rows.count) if self._is_plain else _joined(rows)
        if not self._is_short:
            keys = [_within(key) for key in keys]
        return [key + b"p" for key in keys] if probabilities else keys


def _row_bytes(tensors: Sequence[Tensor]) -> int | None:
    """What the values of a row take; None where that depends on them."""
    if any(tensor.dtype == "string" or None in tensor.shape for tensor in tensors):
        return None
    return sum(SIZES[tensor.dtype] * prod(map(int, filter(None, tensor.shape))) for tensor in tensors)


def _within(key: bytes) -> bytes:
    """A key that is not too long, marked: no client can make up a row whose bytes are the digest of another."""
    return b"=" + key if len(key) < LONGEST else b"#" + blake2b(key, digest_size=DIGEST).digest()


def _joined(rows: Rows) -> list[bytes]:
    columns = [_texts(column) if isinstance(column, list) else _slices(column, rows.count) for column in rows.columns]
    if rows.shapes is not None:
        columns.insert(0, [repr(rows.shapes).encode("ascii")] * rows.count)
    return list(map(b"".join, zip(*columns, strict=True)))


def _slices(column: Column, count: int) -> list[bytes]:
    packed = bytes(column)
    size = len(packed) // count
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def _texts(column: list[str | None]) -> list[bytes]:
    return [NULL if text is None else _counted(text.encode(errors="surrogatepass")) for text in column]


def _counted(text: bytes) -> bytes:
    return _length(len(text)) + text
