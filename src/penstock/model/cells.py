"""Single values of a field: whether one fits, and how it is read from what a store holds, which is mostly text."""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

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
    return _check_of(field)(value)


def reader_of(field: Field) -> Read:
    """What reads a value of this field. Text is taken for what it says: "12.5", "3", "true"; nothing is rounded."""
    parse = _PARSERS.get(field.dtype, _number)
    check = _check_of(field)

    def read(raw: object) -> Label:
        value = raw if type(raw) in _PLAIN else _plain(raw)
        if type(value) is str:
            value = parse(value)
        if not check(value):
            raise ValueError
        return value  # type: ignore[return-value] # it fits

    return read


def _check_of(field: Field) -> Callable[[Any], bool]:
    """`fits` for one field, made once."""
    kind = _check_of_kind(field)
    if field.unknown == "warn" or field.categories is None:
        return kind
    known = frozenset(field.categories)
    return lambda value: kind(value) and value in known


def _check_of_kind(field: Field) -> Callable[[Any], bool]:
    if field.dtype == "string":
        return lambda value: type(value) is str and len(value) <= LONGEST_TEXT
    if field.dtype == "bool":
        return lambda value: type(value) is bool
    if field.dtype in FLOATS:
        beyond = BEYOND[field.dtype]
        return lambda value: (type(value) is float or type(value) is int) and -beyond < value < beyond
    least, greatest = bounds(field)

    def is_whole(value: Any) -> bool:
        if type(value) is float:
            return -EXACT < value < EXACT and value == int(value) and least <= value <= greatest
        return type(value) is int and least <= value <= greatest

    return is_whole


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


def _float(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ValueError
    return float(text)


def _number(text: str) -> float:
    if _INTEGER.fullmatch(text):
        return int(text)
    return _float(text)


_PARSERS: Mapping[str, Callable[[str], Label]] = {"string": str, "bool": _flag, **dict.fromkeys(FLOATS, _float)}
