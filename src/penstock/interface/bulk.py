"""Large batches of plain numbers: from JSON to packed rows without a Python object for each number.

A batch of 100 rows of 30 numbers takes a third of the time that typed decoding takes. What this reader is not sure of
it leaves to the ordinary decoder, so it only ever needs to recognise what is right.
"""

from typing import Any

import numpy as np
import simdjson

from penstock.inference.rows import Rows
from penstock.model.numbers import BEYOND
from penstock.model.signature import Signature

LEAST_BYTES = 512
NUMBERS = b"0123456789+-.eE \t\r\n"
OPENING = b'{"batch":['
CLOSING = b"]}"


class BulkReader:
    """Reads `{"batch": [[…], …]}` for a signature whose rows are floats of one dtype, as long as none is missing."""

    def __init__(self, signature: Signature, most_rows: int) -> None:
        self._parser = simdjson.Parser()
        self._most_rows = most_rows
        self._width = len(signature.inputs)
        self._row = b"[" + b"," * (self._width - 1) + b"]"
        self._next = b"," + self._row
        self._dtype = signature.inputs[0].dtype

    @staticmethod
    def suits(signature: Signature) -> bool:
        first = signature.inputs[0]
        return first.dtype in ("float64", "float32") and all(
            field.dtype == first.dtype and not (field.shape or field.unknown == "refuse") for field in signature.inputs
        )

    def read(self, body: bytes) -> Rows | None:
        """The rows, or None where the ordinary decoder is to look."""
        if len(body) < LEAST_BYTES:
            return None
        try:
            return self._rows(body)
        except (ValueError, TypeError, KeyError, RuntimeError):  # not JSON, or the parser is still in use
            return None

    def _rows(self, body: bytes) -> Rows | None:
        """`as_buffer` flattens whatever is nested: what is left of the body without its numbers must be a matrix's."""
        skeleton = body.translate(None, NUMBERS)
        count = (len(skeleton) - len(OPENING)) // len(self._next)
        if not 0 < count <= self._most_rows or skeleton != OPENING + self._row + self._next * (count - 1) + CLOSING:
            return None
        document: Any = self._parser.parse(body)
        values = np.frombuffer(document["batch"].as_buffer(of_type="d"))
        if len(values) != count * self._width:  # a row of one number and an empty one look the same
            return None
        if self._dtype == "float64":
            return Rows(count, [values.tobytes()])
        if np.maximum.reduce(values) >= BEYOND["float32"] or np.minimum.reduce(values) <= -BEYOND["float32"]:
            return None
        return Rows(count, [values.astype(np.float32).tobytes()])
