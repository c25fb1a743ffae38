"""Cells of a CSV file as values of a field."""

import math
from collections.abc import Callable
from typing import Any

from penstock.model.signature import DType, Field
from penstock.values import Unfit, shown

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""What stands for a missing number, in lower case; a missing text is an empty cell."""

_BOOLS = {"true": True, "false": False, "1": True, "0": False, "1.0": True, "0.0": False}

_AS_NUMBERS = {"True": 1.0, "False": 0.0}  # as pandas writes a column of booleans, which a model took for numbers

Reader = Callable[[str], Any]
"""A cell to a value, None where it is missing. Raises Unfit."""


def reader(field: Field) -> Reader:
    """What reads the cells of a field's column."""
    if field.dtype == "string":
        return lambda text: text or None
    read = _bool if field.dtype == "bool" else _float if field.dtype.startswith("float") else _whole(field.dtype)

    def number(text: str) -> Any:
        bare = text.strip()
        return None if bare.lower() in MISSING else read(bare)

    return number


def _float(text: str) -> float:
    if text in _AS_NUMBERS:
        return _AS_NUMBERS[text]
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise Unfit(f"expected a number, got {shown(text)}")
    return value


def _whole(dtype: DType) -> Callable[[str], int]:
    bits, signed = int(dtype.lstrip("uint")), not dtype.startswith("u")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            number = _float(text)
            value = int(number) if number.is_integer() else low - 1
        if not low <= value <= high:
            raise Unfit(f"expected a whole number from {low} to {high}, got {shown(text)}")
        return value

    return whole


def _bool(text: str) -> bool:
    value = _BOOLS.get(text.lower())
    if value is None:
        raise Unfit(f"expected true or false, got {shown(text)}")
    return value
