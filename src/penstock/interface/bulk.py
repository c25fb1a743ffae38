"""Large batches of plain numbers: from JSON to packed rows without a Python object for each number.

A batch of 100 rows of 30 numbers takes a third of the time that typed decoding takes. What this reader is not sure of
it leaves to the ordinary decoder, so it only ever needs to recognise what is right.
"""

from typing import Any

import numpy as np
import simdjson

from penstock.inference.rows import Rows
from penstock.interface.values import BEYOND
from penstock.model.signature import Signature

LEAST_BYTES = 512
PREFIX = b'{"batch":'


class BulkReader:
    """Reads `{"batch": [[…], …]}` for a signature whose rows are plain floats of one dtype."""

    def __init__(self, signature: Signature, most_rows: int) -> None:
        self._parser = simdjson.Parser()
        self._most_rows = most_rows
        self._width = len(signature.inputs)
        self._dtype = signature.inputs[0].dtype

    @staticmethod
    def suits(signature: Signature) -> bool:
        first = signature.inputs[0]
        return first.dtype in ("float64", "float32") and all(
            field.dtype == first.dtype and not (field.shape or field.nullable or field.unknown == "refuse")
            for field in signature.inputs
        )

    def read(self, body: bytes) -> Rows | None:
        """The rows, or None where the ordinary decoder is to look."""
        if len(body) < LEAST_BYTES or not body.startswith(PREFIX):
            return None
        try:
            return self._rows(body)
        except (ValueError, TypeError, RuntimeError):  # not JSON, not numbers; RuntimeError: the parser is still in use
            return None

    def _rows(self, body: bytes) -> Rows | None:
        document: Any = self._parser.parse(body)
        rows = document["batch"]
        count = len(rows)
        # `as_buffer` flattens whatever is nested, so the number of brackets must be that of rows and no more.
        if not 0 < count <= self._most_rows or body.count(b"[") != count + 1 or len(document) != 1:
            return None
        if {len(row) for row in rows} != {self._width}:
            return None
        values = np.frombuffer(rows.as_buffer(of_type="d"))
        if self._dtype == "float32":
            if np.abs(values).max() >= BEYOND["float32"]:
                return None
            return Rows(count, [values.astype(np.float32).tobytes()])
        return Rows(count, [values.tobytes()])
