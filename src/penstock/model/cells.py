"""Single values of a field: whether one fits, and how it is read from what a store holds, which is mostly text."""

import re
from collections.abc import Callable
from decimal import Decimal

from penstock.model.numbers import BEYOND, EXACT, bounds
from penstock.model.signature import FLOATS, Field, Label

LONGEST_TEXT = 65_536
_INTEGER = re.compile(r"[+-]?\d{1,20}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})(?:[eE][+-]?\d{1,4})?", re.ASCII)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_PLAIN = (str, int, float, bool)

Read = Callable[[object], Label]
"""Makes a value of what a store holds. Raises ValueError where that is none of the field."""


def fits(field: Field, value: object) -> bool:
    """Whether `value` is one of a scalar field, as a client would send it; null is none here."""
    if field.dtype == "string":
        good = isinstance(value, str) and len(value) <= LONGEST_TEXT
    elif field.dtype == "bool":
        good = isinstance(value, bool)
    else:
        good = isinstance(value, int | float) and not isinstance(value, bool) and _is_in_range(field, value)
    return good and (field.unknown == "warn" or field.categories is None or value in field.categories)


def reader_of(field: Field) -> Read:
    """What reads a value of this field. Text is taken for what it says: "12.5", "3", "true"; nothing is rounded."""
    parse: Callable[[str], Label] = _flag if field.dtype == "bool" else str if field.dtype == "string" else _number

    def read(raw: object) -> Label:
        value = raw if type(raw) in _PLAIN else _plain(raw)
        if type(value) is str:
            value = parse(value)
        if not fits(field, value):
            raise ValueError
        return value  # type: ignore[return-value] # it fits

    return read


def _is_in_range(field: Field, value: float) -> bool:
    if field.dtype in FLOATS:
        beyond = BEYOND[field.dtype]
        return -beyond < value < beyond
    least, greatest = bounds(field)
    exact = type(value) is int or (-EXACT < value < EXACT and value == int(value))
    return exact and least <= value <= greatest


def _plain(raw: object) -> object:
    """The plain value that bytes, a decimal, or a scalar of numpy stand for."""
    if isinstance(raw, bytes):
        return raw.decode()
    if isinstance(raw, Decimal):
        return _number(str(raw))
    item = getattr(raw, "item", None)
    return item() if callable(item) else raw


def _flag(text: str) -> bool:
    if (flag := _FLAGS.get(text.lower())) is None:
        raise ValueError
    return flag


def _number(text: str) -> float:
    if _INTEGER.fullmatch(text):
        return int(text)
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)
