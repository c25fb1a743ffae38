"""What a row says about itself: values missing, out of the declared range, or of no known category.

Such rows are served as they are; the findings are counted and logged. Nearly all rows are as they should be, and a
quick look tells; only the others are gone through value by value.
"""

from collections import Counter
from collections.abc import Callable
from operator import le
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.inference.outputs import CODES
from penstock.inference.rows import Column, Rows
from penstock.model.signature import FLOATS, Field, Signature, Tensor


class Findings(NamedTuple):
    """For each kind of oddity, how many values of which field had it."""

    missing: dict[str, int]
    out_of_range: dict[str, int]
    unknown: dict[str, int]


Check = Callable[[Rows], Findings | None]


def checks(signature: Signature) -> Check:
    """The check that rows of this signature need; one that does nothing where no field asks for any."""
    looks = [(i, look) for i, tensor in enumerate(signature.tensors()) if (look := _look_at(tensor)) is not None]

    if not looks:
        return _nothing

    def check(rows: Rows) -> Findings | None:
        columns, count = rows.columns, rows.count
        for i, look in looks:
            if not look.is_usual(columns[i], count):
                break
        else:
            return None
        findings = Findings({}, {}, {})
        for i, look in looks:
            look.go_through(columns[i], count, findings)
        return findings if any(findings) else None

    return check


def _nothing(rows: Rows) -> None:
    return None


class Look(NamedTuple):
    """At one column of so many rows: quickly, and value by value."""

    is_usual: Callable[[Column, int], bool]
    go_through: Callable[[Column, int, Findings], None]


def _look_at(tensor: Tensor) -> Look | None:
    if tensor.dtype == "string":
        return _look_at_text(tensor.fields[0])
    if any(field.range or field.nullable or field.categories for field in tensor.fields):
        return _look_at_numbers(tensor)
    return None


def _look_at_text(field: Field) -> Look | None:
    if not field.nullable and field.categories is None:
        return None
    known = frozenset(field.categories or ())

    def is_usual(column: Column, count: int) -> bool:
        return known.issuperset(column)

    def go_through(column: Column, count: int, findings: Findings) -> None:
        values: Counter[Any] = Counter(column)
        if missing := values.pop(None, 0):
            findings.missing[field.name] = missing
        if known and (odd := sum(n for value, n in values.items() if value not in known)):
            findings.unknown[field.name] = odd

    return Look(is_usual, go_through)


class Limits:
    """What the numbers of a tensor usually are, in the tensor's own dtype: a range of 0.1 begins where its 0.1 lies.

    `known` are the categories by the position of their field.
    """

    def __init__(self, tensor: Tensor) -> None:
        fields = tensor.fields
        dtype = tensor.dtype if tensor.dtype in FLOATS else "float64"
        with np.errstate(over="ignore"):
            self.low = np.array([field.range[0] if field.range else -np.inf for field in fields], dtype)
            self.high = np.array([field.range[1] if field.range else np.inf for field in fields], dtype)
            self.known = {
                i: frozenset(np.array(field.categories, dtype).tolist() if tensor.dtype in FLOATS else field.categories)
                for i, field in enumerate(fields)
                if field.categories
            }


def _look_at_numbers(tensor: Tensor) -> Look:
    limits = Limits(tensor)
    one, many = _one_is_usual(tensor, limits), _many_are_usual(limits)

    def array(column: Column, count: int) -> NDArray[Any]:
        values: NDArray[Any] = np.frombuffer(column, tensor.dtype)  # type: ignore[arg-type] # bytes, as it is no text
        return values.reshape(count, len(tensor.fields), -1)

    def is_usual(column: Column, count: int) -> bool:
        return one(column) if count == 1 and one is not None else many(array(column, count))

    def go_through(column: Column, count: int, findings: Findings) -> None:
        _go_through(array(column, count), tensor.fields, limits, findings)

    return Look(is_usual, go_through)


def _one_is_usual(tensor: Tensor, limits: Limits) -> Callable[[Column], bool] | None:
    """The quick look at a row of scalars, before numpy has got going. What is missing is not within any limits."""
    code: Any = CODES.get(tensor.dtype)
    if code is None or tensor.fields[0].shape:
        return None
    low, high, known = limits.low.tolist(), limits.high.tolist(), limits.known

    def is_usual(column: Column) -> bool:
        values = memoryview(column).cast(code)  # type: ignore[arg-type] # bytes
        if not (all(map(le, low, values)) and all(map(le, values, high))):
            return False
        return not known or all(values[i] in categories for i, categories in known.items())

    return is_usual


def _many_are_usual(limits: Limits) -> Callable[[NDArray[Any]], bool]:
    """The quick look at many rows, as an array of shape (rows, fields, values)."""
    low, high = limits.low[:, None], limits.high[:, None]

    def are_usual(values: NDArray[Any]) -> bool:
        if not ((values >= low) & (values <= high)).all():
            return False
        return all(known.issuperset(values[:, i].ravel().tolist()) for i, known in limits.known.items())

    return are_usual


def _go_through(values: NDArray[Any], fields: tuple[Field, ...], limits: Limits, findings: Findings) -> None:
    missing = np.isnan(values)
    _note(findings.missing, missing, fields)
    _note(findings.out_of_range, (values < limits.low[:, None]) | (values > limits.high[:, None]), fields)
    for i, known in limits.known.items():
        odd = ~np.isin(values[:, i], list(known)) & ~missing[:, i]
        _note(findings.unknown, odd[:, None], fields[i : i + 1])


def _note(found: dict[str, int], odd: NDArray[np.bool_], fields: tuple[Field, ...]) -> None:
    if odd.any():
        counts = odd.sum(axis=(0, 2))
        found.update({field.name: int(n) for field, n in zip(fields, counts, strict=True) if n})
