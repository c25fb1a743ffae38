"""Rows whose numbers are all zero, refused where `model.yaml` says so: mostly their sender has lost what they held.

True and false are no numbers, and neither is what is missing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from penstock.errors import InvalidRequest, Problem
from penstock.inference.outputs import CODES
from penstock.inference.rows import Rows
from penstock.interface.errors import MOST_PROBLEMS
from penstock.interface.values import Loc, where
from penstock.model.signature import DType, Signature

Said = TypeVar("Said")
REMEDY = "Send a row in which some number is not zero."


class Numbers(NamedTuple):
    """Which fields of a tensor are numbers, and the tensor's place, its dtype and how many fields it has."""

    at: int
    dtype: DType
    width: int
    fields: list[int]

    @property
    def code(self) -> str | None:
        """What a memoryview calls the dtype, where it can look at the tensor and there is nothing else in it."""
        return CODES.get(self.dtype) if len(self.fields) == self.width else None


def refusing_zeros(decode: Callable[[Said], Rows], signature: Signature, key: str) -> Callable[[Said], Rows]:
    """`decode`, made to raise InvalidRequest for a row of `key` that is all zero; itself where those are served."""
    if signature.all_zero == "serve":
        return decode
    numbers = _numbers(signature)
    at, code = next(((each.at, each.code) for each in numbers if each.code), (0, ""))

    def checked(said: Said) -> Rows:
        rows = decode(said)
        if code and rows.count == 1 and any(_view(rows.columns[at], code)):  # nearly all rows are through here
            return rows
        zero = ~_have_number(rows, numbers)
        if zero.any():
            raise _refusal([(key, i) if key == "batch" else (key,) for i in np.flatnonzero(zero).tolist()])
        return rows

    return checked


def _numbers(signature: Signature) -> list[Numbers]:
    found = [
        Numbers(at, tensor.dtype, len(tensor.fields), [i for i, field in enumerate(tensor.fields) if field.is_number])
        for at, tensor in enumerate(signature.tensors())
    ]
    return [each for each in found if each.fields]


def _view(column: Any, code: Any) -> memoryview:
    return memoryview(column).cast(code)


def _have_number(rows: Rows, numbers: list[Numbers]) -> NDArray[np.bool_]:
    """For each row, whether it has a number other than zero."""
    found = np.zeros(rows.count, bool)
    for at, dtype, width, fields in numbers:
        values: NDArray[Any] = np.frombuffer(rows.columns[at], dtype)  # type: ignore[arg-type] # bytes
        found |= values.reshape(rows.count, width, -1)[:, fields].any(axis=(1, 2))
    return found


def _refusal(locs: list[Loc]) -> InvalidRequest:
    first = f"At {where(locs[0])}: every number is zero. {REMEDY}"
    problems = [Problem(loc, f"Every number is zero. {REMEDY}") for loc in locs[:MOST_PROBLEMS]]
    return InvalidRequest(first if len(locs) == 1 else f"{first} See `errors` for the rest.", problems)
