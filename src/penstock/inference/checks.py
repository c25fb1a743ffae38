"""What a row says about itself: values missing, out of the declared range, or of no known category.

Such rows are served as they are; the findings are counted and logged.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from penstock.inference.rows import Column, Rows
from penstock.model.signature import Field, Signature, Tensor


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
        findings = Findings({}, {}, {})
        for i, look in looks:
            look(rows.columns[i], rows.count, findings)
        return findings if any(findings) else None

    return check


def _nothing(rows: Rows) -> None:
    return None


Look = Callable[[Column, int, Findings], None]


def _look_at(tensor: Tensor) -> Look | None:
    if tensor.dtype == "string":
        return _look_at_text(tensor.fields[0])
    if any(field.range or field.nullable or field.categories for field in tensor.fields):
        return _look_at_numbers(tensor)
    return None


def _look_at_text(field: Field) -> Look | None:
    if not field.nullable and field.categories is None:
        return None
    known = set(field.categories or ())

    def look(column: Column, count: int, findings: Findings) -> None:
        values: Counter[Any] = Counter(column)
        if missing := values.pop(None, 0):
            findings.missing[field.name] = missing
        if known and (odd := sum(n for value, n in values.items() if value not in known)):
            findings.unknown[field.name] = odd

    return look


def _look_at_numbers(tensor: Tensor) -> Look:
    fields = tensor.fields
    low = np.array([field.range[0] if field.range else -np.inf for field in fields])
    high = np.array([field.range[1] if field.range else np.inf for field in fields])
    known = {i: np.array(field.categories, float) for i, field in enumerate(fields) if field.categories}

    def look(column: Column, count: int, findings: Findings) -> None:
        values: NDArray[Any] = np.frombuffer(column, tensor.dtype).reshape(count, len(fields), -1)  # type: ignore[arg-type] # bytes
        _note(findings.missing, np.isnan(values), fields)
        _note(findings.out_of_range, (values < low[:, None]) | (values > high[:, None]), fields)
        for i, categories in known.items():
            odd = ~np.isin(values[:, i], categories) & ~np.isnan(values[:, i])
            _note(findings.unknown, odd[:, None], fields[i : i + 1])

    return look


def _note(found: dict[str, int], odd: NDArray[np.bool_], fields: tuple[Field, ...]) -> None:
    if odd.any():
        counts = odd.sum(axis=(0, 2))
        found.update({field.name: int(n) for field, n in zip(fields, counts, strict=True) if n})
