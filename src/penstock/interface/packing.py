"""From decoded JSON values to the bytes that the wire wants."""

import math
import struct
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import numpy as np

from penstock.inference.rows import Column
from penstock.model.numbers import EXACT, INTEGERS, bounds
from penstock.model.signature import Field, Label, Tensor

CODES = {
    "float64": "d", "float32": "f", "float16": "e", "int64": "q", "int32": "i", "int16": "h", "int8": "b",
    "uint64": "Q", "uint32": "I", "uint16": "H", "uint8": "B", "bool": "?",
}  # fmt: skip

Row = Sequence[Any]
"""What one row says for the fields of one tensor, in their order."""
Pack = Callable[[Sequence[Row]], Column]
Convert = Callable[[Any], Any]


class Unpackable(Exception):
    """A value that the decoder let through does not fit its field; finding the precise error is another's work."""


def packer(tensor: Tensor) -> Pack:
    """The function that packs rows of this tensor. It raises Unpackable."""
    if tensor.dtype == "string":
        return _pack_text(tensor.fields[0])
    if tensor.fields[0].shape:
        return _pack_array(tensor)
    return _pack_numbers(tensor)


def _pack_numbers(tensor: Tensor) -> Pack:
    """Scalars, row-major. `struct` beats numpy on lists of Python numbers, and it checks ranges."""
    width = len(tensor.fields)
    code = CODES[tensor.dtype]
    one = struct.Struct(f"<{width}{code}").pack
    converters = [_converter(field) for field in tensor.fields]
    plain = not any(converters)

    def pack(rows: Sequence[Row]) -> Column:
        try:
            if not plain:
                rows = [[f(v) if f else v for f, v in zip(converters, row, strict=True)] for row in rows]
            if len(rows) == 1:
                return one(*rows[0])
            if set(map(len, rows)) != {width}:
                raise Unpackable
            return struct.pack(f"<{width * len(rows)}{code}", *chain.from_iterable(rows))
        except (struct.error, OverflowError, TypeError, ValueError) as error:
            raise Unpackable from error

    return pack


def _converter(field: Field) -> Convert | None:
    """What a value of this field goes through before it is packed; None where it may go as it is."""
    convert: Convert | None = None
    if field.dtype in INTEGERS:
        convert = _nullable_integer(*bounds(field)) if field.nullable else _integer
    elif field.nullable:
        convert = _missing
    return _known_only(field.categories, convert) if field.categories and field.unknown == "refuse" else convert


def _missing(value: float | None) -> float:
    return math.nan if value is None else value


def _integer(value: float) -> int:
    """Integers as they are, integral floats as integers; never a rounded one."""
    whole = int(value)
    if whole != value or (type(value) is float and not -EXACT < value < EXACT):
        raise ValueError
    return whole


def _nullable_integer(least: int, greatest: int) -> Convert:
    """An integer that travels as float64, within bounds that are exact in it; null is NaN."""

    def convert(value: float | None) -> float:
        if value is None:
            return math.nan
        if not least <= _integer(value) <= greatest:
            raise ValueError
        return float(value)

    return convert


def _known_only(categories: tuple[Label, ...], convert: Convert | None) -> Convert:
    known = {*categories, None}

    def check(value: Any) -> Any:
        if value not in known:
            raise ValueError
        return convert(value) if convert else value

    return check


def _pack_text(field: Field) -> Pack:
    refused = field.categories is not None and field.unknown == "refuse"
    known = {*(field.categories or ()), None}

    def pack(rows: Sequence[Row]) -> Column:
        if set(map(len, rows)) != {1}:
            raise Unpackable
        values = [row[0] for row in rows]
        if refused and not known.issuperset(values):
            raise Unpackable
        return values

    return pack


def _pack_array(tensor: Tensor) -> Pack:
    """Nested lists. numpy refuses ragged ones; the shape is held against the declared one."""
    integral = tensor.dtype in INTEGERS

    def pack(rows: Sequence[Row]) -> Column:
        nested = [row[0] for row in rows]
        try:
            values = np.array(nested)
            if not values.size or not _fits(values.shape[1:], tensor.shape):
                raise Unpackable
            if integral and values.dtype.kind != "i":
                exact = [_integer(value) for value in np.array(nested, dtype=object).flat]
                values = np.array(exact, dtype=object).reshape(values.shape)
            with np.errstate(over="raise"):
                packed = values.astype(tensor.dtype)
        except (ValueError, FloatingPointError, OverflowError, TypeError) as error:
            raise Unpackable from error
        if integral and (packed != values).any():
            raise Unpackable
        return np.ascontiguousarray(packed).data.cast("B")

    return pack


def _fits(shape: tuple[int, ...], declared: tuple[int | None, ...]) -> bool:
    return len(shape) == len(declared) and all(d is None or d == s for s, d in zip(shape, declared, strict=True))
